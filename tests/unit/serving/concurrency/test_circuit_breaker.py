"""An endpoint that is down is waited for, by all calls together, and then exactly what failed for
it is asked again.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from cluster.trial.plan import TrialContext
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.errors import AccessError, EndpointError
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Completion, Failed
from serving.clients.openai_model import OpenAIModel
from serving.clients.probe import PROBE, reach
from serving.concurrency.circuit_breaker import LONGEST_PAUSE_S, EndpointCircuitBreaker, pause_of
from serving.concurrency.retrying import MOST_EXCUSED, Retry, Transient
from serving.settings import OpenAISettings
from tests.contracts.client_contract import QUESTIONS, ask
from tests.contracts.hurry import hurried_outages
from tests.contracts.trials import GOOD, small_plan
from tests.unit.serving.concurrency.test_retrying import Clock
from tests.unit.serving.raw_endpoint import Asked, Play, RawEndpoint, chat, http

KEY = "sk-very-secret"
FAST = Retry(attempts=3, first_wait_s=0.001, longest_wait_s=0.01)


def outage(
    answers: Sequence[bool | Exception], longest_s: float
) -> tuple[EndpointCircuitBreaker, Clock, list[float]]:
    """Return a circuit breaker whose probes get `answers`; afterwards the endpoint stays down."""
    clock, probed_at, queue = Clock(), list[float](), list(answers)

    async def is_there() -> bool:
        probed_at.append(clock.now)
        answer = queue.pop(0) if queue else False
        if isinstance(answer, Exception):
            raise answer
        return answer

    return (
        EndpointCircuitBreaker("http://x/v1", is_there, longest_s, clock, clock.sleep),
        clock,
        probed_at,
    )


async def test_it_probes_with_growing_pauses_and_gives_up_in_one_sentence() -> None:
    subject, clock, probed_at = outage([], 60.0)
    with pytest.raises(EndpointError) as caught:
        await subject.excuses(Transient("It is gone."), last=True, failing_since=0.0)
    assert str(caught.value) == (
        "base_url http://x/v1 has not answered for 60 s (It is gone): "
        "once it does, the same command continues where this one ended."
    )
    assert probed_at == [0, 1, 3, 7, 15, 30, 45, 60]
    assert max(clock.naps) == LONGEST_PAUSE_S
    assert subject.pause == ""


async def test_where_another_question_is_answered_there_is_no_outage() -> None:
    subject, clock, _ = outage([True], 60.0)
    assert not await subject.excuses(Transient("Only this one."), last=True, failing_since=0.0)
    assert clock.naps == []


async def test_an_endpoint_that_answers_others_meanwhile_is_not_probed() -> None:
    subject, clock, probed_at = outage([True], 60.0)
    clock.now = 5.0
    subject.answered()
    assert not await subject.excuses(Transient("Only this one."), last=True, failing_since=4.0)
    assert probed_at == []
    await subject.excuses(Transient("Only this one."), last=True, failing_since=5.0)
    assert probed_at == [5.0]


async def test_without_patience_it_is_an_error_at_once() -> None:
    subject, clock, _ = outage([], 0.0)
    with pytest.raises(
        EndpointError, match=r"It is gone\. Check that base_url http://x/v1 is right"
    ):
        await subject.excuses(Transient("It is gone."), last=True, failing_since=0.0)
    assert clock.naps == []


async def test_a_key_that_is_refused_during_the_pause_is_said_at_once() -> None:
    subject, _, probed_at = outage([False, AccessError("No.")], 60.0)
    with pytest.raises(AccessError):
        await subject.excuses(Transient("It is gone."), last=True, failing_since=0.0)
    assert len(probed_at) == 2


async def test_repeated_connection_failures_start_a_probe_and_a_single_one_does_not() -> None:
    subject, _, probed_at = outage([True, True], 60.0)
    dead = Transient("No connection.", unreached=True)
    assert not await subject.excuses(Transient("Busy."), last=False, failing_since=0.0)
    for _ in range(2):
        assert not await subject.excuses(dead, last=False, failing_since=0.0)
    subject.answered()
    for _ in range(2):
        assert not await subject.excuses(dead, last=False, failing_since=0.0)
    assert probed_at == []
    await subject.excuses(dead, last=False, failing_since=0.0)
    assert len(probed_at) == 1


async def test_all_wait_for_one_prober_and_one_who_leaves_does_not_end_it() -> None:
    subject, _, probed_at = outage([False] * 4 + [True], 600.0)
    waiting = [
        asyncio.create_task(subject.excuses(Transient("Gone."), last=True, failing_since=0.0))
        for _ in range(5)
    ]
    await asyncio.sleep(0)
    coming = asyncio.create_task(subject.over())
    await asyncio.sleep(0)
    assert "does not answer since" in subject.pause or probed_at == [0]
    waiting[0].cancel()
    assert await asyncio.gather(*waiting[1:]) == [True] * 4
    await coming
    assert len(probed_at) == 5
    assert subject.pause == ""
    await subject.over()


async def test_when_all_have_left_nothing_probes_on() -> None:
    started = asyncio.Event()

    async def is_there() -> bool:
        started.set()
        await asyncio.sleep(60)
        return False

    subject = EndpointCircuitBreaker("http://x/v1", is_there, 600.0)
    waiting = asyncio.create_task(subject.excuses(Transient("Gone."), last=True, failing_since=0.0))
    await started.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
    await subject.over()  # nobody waits for a prober that is no more


@pytest.fixture
async def endpoint() -> AsyncIterator[RawEndpoint]:
    started = RawEndpoint(delay_s=0.002)
    await started.start()
    with hurried_outages():
        yield started
    await started.stop()


def client(
    endpoint: RawEndpoint, outage_s: float = 60.0, retry: Retry = FAST, **settings: object
) -> OpenAIModel:
    known = OpenAISettings(
        model="m", base_url=endpoint.base_url, outage_s=outage_s, timeout_s=30, **settings
    )  # type: ignore[arg-type]
    return OpenAIModel(known, KEY, retry)


async def stopped(endpoint: RawEndpoint, after: int, model: OpenAIModel) -> str:
    """Waits for so many calls, stops the endpoint in the midst of others, and starts it again once
    the pause shows: its words.
    """
    while len(endpoint.asked) < after:
        await asyncio.sleep(0.001)
    await endpoint.stop()
    while not pause_of(model, model, object()):
        await asyncio.sleep(0.01)
    pause = pause_of(model, model, object())
    await endpoint.start()
    return pause


async def test_a_batch_that_is_cut_by_an_outage_ends_as_one_that_was_not(
    endpoint: RawEndpoint,
) -> None:
    model = client(endpoint, max_in_flight=8)
    requests = [ask(f"question {number}") for number in range(300)]
    stopping = asyncio.create_task(stopped(endpoint, 60, model))
    outcomes = await model.complete(requests)
    pause = await stopping
    assert outcomes == [
        Completion(f"heard question {number}", False, 7, 3) for number in range(300)
    ]
    assert pause.startswith(f"{endpoint.base_url} does not answer since ")
    assert pause.endswith(" at most.")
    assert model.pause == ""
    # Besides the probes, only what was in flight when it stopped was asked twice.
    asked = [one.text for one in endpoint.asked if one.text != PROBE.messages[0].content]
    assert len(asked) <= 300 + 8
    await model.aclose()


async def test_a_trial_that_is_cut_by_an_outage_ends_as_one_that_was_not(
    endpoint: RawEndpoint,
) -> None:
    """The target answers rightly where its prompt says GOOD, as the optimizer model tells it to."""

    def task() -> Task:
        return load_task("object_counting", sizes=Sizes(4, 20, 30), seed=0)

    examples = (*task().train, *task().dev, *task().test.single_reading().read())
    right_by_input = {example.input: example.answers[0] for example in examples}

    def answer(asked: Asked) -> Play | None:
        right = right_by_input.get(asked.text)
        told = asked.body["messages"][0]["content"]
        text = GOOD if right is None else f"Answer: {right if GOOD in told else 'none'}"

        async def play(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.002)
            writer.write(http(chat(text), Connection="close"))
            await writer.drain()

        return play

    async def result(model: OpenAIModel) -> TrialResult:
        found = await Trial(
            small_plan(), task(), model, model, TrialContext(pause=partial(pause_of, model))
        ).run()
        await model.aclose()
        return found

    endpoint.play = answer
    calm = await result(client(endpoint, max_in_flight=4))
    model = client(endpoint, max_in_flight=4)
    stopping = asyncio.create_task(stopped(endpoint, len(endpoint.asked) + 90, model))
    cut = await result(model)
    assert await stopping
    assert (
        cut.rounds,
        cut.best,
        cut.test_marks,
        cut.verdict,
        cut.target_calls,
        cut.verdicts_by_purpose,
    ) == (
        calm.rounds,
        calm.best,
        calm.test_marks,
        calm.verdict,
        calm.target_calls,
        calm.verdicts_by_purpose,
    )
    assert calm.verdict == "better"


async def test_a_request_that_crashes_the_endpoint_is_given_up(
    endpoint: RawEndpoint,
) -> None:
    async def endpoint_goes_down() -> None:
        await asyncio.sleep(0.01)
        await endpoint.stop()
        await asyncio.sleep(0.1)
        await endpoint.start()

    restarts = []

    def play(asked: Asked) -> Play | None:
        if asked.text != "poison":
            return None
        restarts.append(asyncio.ensure_future(endpoint_goes_down()))
        return lambda writer: asyncio.sleep(60)

    endpoint.play = play
    model = client(endpoint, retry=Retry(attempts=2, first_wait_s=0.01))
    good, bad = await model.complete([ask("good"), ask("poison")])
    assert isinstance(good, Completion)
    assert isinstance(bad, Failed)
    assert len(restarts) <= 2 * (MOST_EXCUSED + 1)
    await asyncio.gather(*restarts)
    await model.aclose()


async def test_the_check_before_a_run_waits_for_nothing() -> None:
    nowhere = RawEndpoint()
    await nowhere.start()
    await nowhere.stop()
    model = client(nowhere, outage_s=600.0)
    began = asyncio.get_running_loop().time()
    with pytest.raises(EndpointError, match="Check that base_url"):
        await reach(model)
    assert asyncio.get_running_loop().time() - began < 5
    assert model.pause == ""
    await model.aclose()


async def test_an_outage_that_lasts_too_long_ends_the_run(endpoint: RawEndpoint) -> None:
    model = client(endpoint, outage_s=0.5)
    await model.complete(QUESTIONS)
    await endpoint.stop()
    with pytest.raises(
        EndpointError, match=r"has not answered for 0\.5 s .* the same command continues"
    ):
        await model.complete(QUESTIONS)
    await endpoint.start()
    assert all(isinstance(outcome, Completion) for outcome in await model.complete(QUESTIONS))
    await model.aclose()
