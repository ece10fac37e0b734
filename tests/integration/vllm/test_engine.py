"""One engine with the built-in target for all of this file; the last tests end it."""

import asyncio
import os
import time
from collections.abc import Iterator

import pytest

from optimizer.types import Completion, Failed, Message, Request, Sampling
from serving.builtin.chat import chat_text
from serving.engines import EngineDied
from serving.engines.process_guard import marked
from serving.engines.vllm import VLLMEngine
from serving.models import open_in_process
from serving.settings import TargetSettings
from tests.contracts.client_contract import ask
from tests.contracts.engine_contract import STRANGE, EngineContract
from tests.integration.vllm.target import SETTINGS, questions

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]
CONTEXT = 2048


def prefix_cache() -> tuple[int, int]:
    """Prompt tokens since the start, and those of them that the prefix cache had: vLLM's own
    counters, of this process's engines.
    """
    from vllm.v1.metrics.reader import get_metrics_snapshot

    count_by_name = {
        metric.name: metric.value for metric in get_metrics_snapshot() if hasattr(metric, "value")
    }
    queried, hit = (int(count_by_name[f"vllm:prefix_cache_{what}"]) for what in ("queries", "hits"))
    return queried, hit


@pytest.fixture(scope="module")
def engine() -> Iterator[VLLMEngine]:
    opened = VLLMEngine(SETTINGS.identity, SETTINGS.arguments, cpu_threads=1)
    yield opened
    opened.close()


class TestVLLMEngine(EngineContract):
    @pytest.fixture
    def engine(self, engine: VLLMEngine) -> VLLMEngine:
        return engine

    def templated(self, text: str) -> str:
        return chat_text([("user", text)])

    async def test_it_is_well_until_it_is_closed(self, engine: VLLMEngine) -> None:
        await engine.check_health()

    async def test_close_may_be_called_twice(self) -> None:
        """See the last test of this file."""


async def test_it_answers_as_under_ctranslate2(engine: VLLMEngine) -> None:
    asked = questions()
    assert len(asked) == 200
    expected = await open_in_process(TargetSettings()).complete(asked)
    found = await engine.complete(asked)
    assert [at for at in range(len(asked)) if found[at] != expected[at]] == []


async def test_strange_contents_are_read_as_under_ctranslate2(engine: VLLMEngine) -> None:
    asked = [
        Request((Message("system", text), Message("user", text)), Sampling(max_tokens=8))
        for text in STRANGE
    ]
    assert await engine.complete(asked) == await open_in_process(TargetSettings()).complete(asked)


async def test_a_prompt_beyond_the_context_is_refused_alone(engine: VLLMEngine) -> None:
    short, long = await engine.complete(
        [ask("forward " * length, max_tokens=8) for length in (3, CONTEXT)]
    )
    assert isinstance(short, Completion)
    assert isinstance(long, Failed)
    assert long.kind == "refused"
    assert str(CONTEXT - 1) in long.reason


async def test_an_answer_ends_where_the_context_does(engine: VLLMEngine) -> None:
    (almost,) = await engine.complete([ask("forward " * (CONTEXT - 6), max_tokens=100)])
    assert isinstance(almost, Completion)
    assert almost.truncated
    assert almost.prompt_tokens + almost.completion_tokens == CONTEXT


async def test_samples_differ(engine: VLLMEngine) -> None:
    draws = await engine.complete(
        [ask("Say anything.", sample, temperature=1.5) for sample in range(8)]
    )
    assert len({outcome.text for outcome in draws if isinstance(outcome, Completion)}) > 1


async def test_the_event_loop_lives_while_the_engine_works(engine: VLLMEngine) -> None:
    working = asyncio.create_task(engine.complete([ask("forward " * 60, max_tokens=200)] * 8))
    beats = 0
    while not working.done():
        await asyncio.sleep(0.002)
        beats += 1
    assert beats > 2


async def test_a_caller_who_leaves_leaves_no_work_behind(engine: VLLMEngine) -> None:
    working = asyncio.create_task(engine.complete([ask("forward " * 60, max_tokens=1900)]))
    await asyncio.sleep(0.05)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    began = time.monotonic()
    while engine.unfinished:
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.01)


async def test_what_prompts_begin_with_alike_is_read_once(engine: VLLMEngine) -> None:
    rules = Message(
        "system",
        " ".join(
            f"Rule {number}: take every step in turn and write it down." for number in range(21)
        ),
    )
    items = [
        Message("user", f"Turn {place}. Take {number} steps.")
        for place in ("left", "right")
        for number in range(32)
    ]
    queried, hit = prefix_cache()
    outcomes = await engine.complete(
        [Request((rules, item), Sampling(max_tokens=4)) for item in items]
    )
    queried, hit = (
        after - before for after, before in zip(prefix_cache(), (queried, hit), strict=True)
    )
    answers = [outcome for outcome in outcomes if isinstance(outcome, Completion)]
    assert len(answers) == 64
    assert 300 <= answers[0].prompt_tokens - 12 <= 330
    assert queried == sum(answer.prompt_tokens for answer in answers)
    assert hit == sum(answer.cached_tokens or 0 for answer in answers)
    assert hit / queried > 0.8


async def test_an_engine_whose_processes_are_killed_says_so_and_leaves_none(
    engine: VLLMEngine,
) -> None:
    mark = engine.mark
    core = next(process for process in marked(mark) if process.ppid() == os.getpid())
    asked = [ask(f"Take {number} steps. " * 20, max_tokens=1500) for number in range(64)]
    working = asyncio.create_task(engine.complete(asked))
    while not engine.unfinished:
        await asyncio.sleep(0.001)
    core.kill()
    with pytest.raises(EngineDied):
        await asyncio.wait_for(working, 30)
    with pytest.raises(EngineDied):
        await engine.check_health()
    with pytest.raises(EngineDied):
        await engine.complete([ask("a")])
    engine.close()
    engine.close()
    with pytest.raises(EngineDied):
        await engine.check_health()
    assert marked(mark) == []
