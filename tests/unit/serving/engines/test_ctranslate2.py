"""The engine of the built-in target model, on its own weights whatever they have learned."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimizer.errors import EndpointError, StorageError
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Failed, Message, Request, Sampling
from serving.builtin import TARGET_FOLDER
from serving.builtin.chat import chat_text
from serving.engines.ctranslate2 import MAX_CONTEXT, CTranslate2Engine
from serving.models import open_in_process
from serving.settings import TargetSettings
from tests.contracts.client_contract import QUESTIONS, LanguageModelContract, ask
from tests.contracts.engine_contract import EngineContract


@pytest.fixture
def engine() -> Iterator[CTranslate2Engine]:
    opened = CTranslate2Engine("target", TARGET_FOLDER)
    yield opened
    opened.close()


class TestCTranslate2Engine(EngineContract):
    @pytest.fixture
    def engine(self, engine: CTranslate2Engine) -> CTranslate2Engine:
        return engine

    def templated(self, text: str) -> str:
        return chat_text([("user", text)])


class TestInProcessModel(LanguageModelContract):
    @pytest.fixture
    def model(self) -> LanguageModel:
        return open_in_process(TargetSettings())


def told(length: int, max_tokens: int = 20) -> Request:
    return Request((Message("user", "forward " * length),), Sampling(max_tokens=max_tokens))


async def test_a_cut_answer_says_so_and_tokens_are_counted(engine: CTranslate2Engine) -> None:
    whole, cut = await engine.complete(
        [ask("Are there two apples?", max_tokens=500), ask("Are there two apples?", max_tokens=1)]
    )
    assert isinstance(whole, Completion)
    assert isinstance(cut, Completion)
    assert (whole.truncated, cut.truncated, cut.completion_tokens) == (False, True, 1)
    assert whole.prompt_tokens == cut.prompt_tokens > 4
    assert whole.text.startswith(cut.text)
    assert "<|" not in whole.text


async def test_a_prompt_beyond_the_context_is_refused_alone(engine: CTranslate2Engine) -> None:
    short, long = await engine.complete([told(3), told(MAX_CONTEXT)])
    assert isinstance(short, Completion)
    assert isinstance(long, Failed)
    assert long.kind == "refused"
    assert str(MAX_CONTEXT - 1) in long.reason


async def test_an_answer_ends_where_the_context_does() -> None:
    short = CTranslate2Engine("short", TARGET_FOLDER, max_context=12)
    room: set[int] = set()
    for length in range(1, 12):
        (outcome,) = await short.complete([told(length)])
        if isinstance(outcome, Completion):
            room.add(outcome.prompt_tokens + outcome.completion_tokens)
    short.close()
    assert room
    assert max(room) <= 12


async def test_lengths_are_mixed_and_answers_stay_in_order(engine: CTranslate2Engine) -> None:
    mixed = [told(length, max_tokens) for length in (1, 40, 7, 90, 2) for max_tokens in (5, 9)]
    assert await engine.complete(mixed) == [(await engine.complete([one]))[0] for one in mixed]


async def test_samples_differ_and_come_again(engine: CTranslate2Engine) -> None:
    draws = [ask("Say anything.", sample, temperature=1.5) for sample in range(8)]
    first = await engine.complete(draws)
    assert len({outcome.text for outcome in first if isinstance(outcome, Completion)}) > 1
    other = CTranslate2Engine("other", TARGET_FOLDER, threads=1)
    assert (await other.complete([draws[5], *QUESTIONS[:3], draws[2]]))[0] == first[5]
    other.close()


async def test_the_event_loop_lives_while_the_engine_works(engine: CTranslate2Engine) -> None:
    working = asyncio.create_task(engine.complete([told(60, 200)] * 8))
    beats = 0
    while not working.done():
        await asyncio.sleep(0.002)
        beats += 1
    assert beats > 2


async def test_a_closed_engine_says_so(engine: CTranslate2Engine) -> None:
    engine.close()
    with pytest.raises(EndpointError, match="closed"):
        await engine.complete([ask("a")])


def test_a_folder_without_a_model_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no CTranslate2 model"):
        CTranslate2Engine("none", tmp_path)


async def test_a_beginning_that_is_read_once_changes_no_answer(engine: CTranslate2Engine) -> None:
    rules = Message("system", "List the moves. Write the position after each move. " * 4)
    questions = [
        f"If you follow these steps, do you return to the start? Take {number} steps."
        for number in range(1, 7)
    ]
    batch = [
        Request((rules, Message("user", question)), Sampling(max_tokens=40))
        for question in [*questions, "", questions[0]]
    ]
    outcomes = await engine.complete(batch)
    assert outcomes == [(await engine.complete([one]))[0] for one in batch]
    assert outcomes[0] == outcomes[-1]


async def test_an_answer_comes_token_by_token(engine: CTranslate2Engine) -> None:
    question = ask(
        "If you follow these steps, do you return to the start? Take 3 steps. Step by step",
        max_tokens=40,
    )
    *texts, outcome = [piece async for piece in engine.stream(question)]
    assert isinstance(outcome, Completion)
    assert len(texts) > outcome.completion_tokens / 2 > 2


async def test_an_empty_raw_prompt_is_refused(engine: CTranslate2Engine) -> None:
    (outcome,) = await engine.complete([Request((Message("user", ""),), raw=True)])
    assert isinstance(outcome, Failed)
    assert outcome.kind == "refused"


async def test_raw_prompts_of_any_length_are_answered_together_as_alone(
    engine: CTranslate2Engine,
) -> None:
    long = "List the moves. Write the position after each move. " * 4
    texts = [
        "a",
        "Step",
        chat_text([("user", "Are there 2 apples?")]),
        long,
        f"{long}a",
        f"{long}a b c d",
    ]
    batch = [Request((Message("user", text),), Sampling(max_tokens=12), raw=True) for text in texts]
    assert await engine.complete(batch) == [(await engine.complete([one]))[0] for one in batch]
