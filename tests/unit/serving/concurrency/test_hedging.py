"""Stragglers are sent a second time where that is asked for, and only then; the loser's line is
closed and there is one outcome.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from optimizer.types import Completion, Failed
from serving.clients.openai_model import OpenAIModel
from serving.concurrency.gate import AdaptiveGate
from serving.concurrency.hedging import ENOUGH, Hedging
from serving.concurrency.retrying import Retry, Transient
from serving.settings import OpenAISettings
from tests.contracts.client_contract import ask
from tests.unit.serving.raw_endpoint import Asked, Play, RawEndpoint

CALLS = [ask(f"question {number}") for number in range(3 * ENOUGH)]


class Straggling:
    """Never answers the first sending of some calls."""

    def __init__(self, stragglers: set[str]) -> None:
        self.stragglers = stragglers
        self.sent: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Play | None:
        self.sent[asked.text] += 1
        if asked.text in self.stragglers and self.sent[asked.text] == 1:
            return lambda writer: asyncio.sleep(60)
        return None


@pytest.fixture
async def endpoint() -> AsyncIterator[RawEndpoint]:
    started = RawEndpoint(Straggling(set()), delay_s=0.01)
    await started.start()
    yield started
    await started.stop()


def client(
    endpoint: RawEndpoint, hedge_percentile: float | None, timeout_s: float = 10.0
) -> OpenAIModel:
    settings = OpenAISettings(
        model="m",
        base_url=endpoint.base_url,
        hedge_percentile=hedge_percentile,
        max_in_flight=4,
        timeout_s=timeout_s,
        outage_s=0,
    )
    return OpenAIModel(settings, "no-key", Retry(attempts=2, first_wait_s=0.01))


async def test_a_straggler_is_sent_twice_and_its_first_line_is_closed(
    endpoint: RawEndpoint,
) -> None:
    model = client(endpoint, 95.0)
    await model.complete(CALLS)
    late = [ask("late"), ask("later")]
    endpoint.play = play = Straggling({"late", "later"})
    before = len(endpoint.asked)
    assert await model.complete(late) == [
        Completion("heard late", False, 7, 3),
        Completion("heard later", False, 7, 3),
    ]
    assert play.sent == {"late": 2, "later": 2}
    firsts = [asked for asked in endpoint.asked[before:] if asked.text in ("late", "later")][:2]
    assert len({asked.headers["idempotency-key"] for asked in endpoint.asked[before:]}) == 2
    for asked in firsts:
        await asyncio.wait_for(asked.cut.wait(), 2)
    assert endpoint.peak <= 4
    assert model._limiter.gate.in_flight == 0
    await model.aclose()


async def test_nothing_is_sent_twice_where_it_was_not_asked_for(endpoint: RawEndpoint) -> None:
    model = client(endpoint, None, timeout_s=0.3)
    await model.complete(CALLS)
    endpoint.play = play = Straggling({"late"})
    began = asyncio.get_running_loop().time()
    await model.complete([ask("late"), ask("other")])
    assert play.sent == {
        "late": 2,
        "other": 1,
    }  # the second is another attempt, after the first was given up
    assert asyncio.get_running_loop().time() - began >= 0.3
    await model.aclose()


async def test_nothing_is_sent_twice_before_enough_is_known(endpoint: RawEndpoint) -> None:
    model = client(endpoint, 95.0, timeout_s=0.5)
    endpoint.play = play = Straggling({CALLS[0].messages[0].content})
    await model.complete(CALLS[:ENOUGH])
    assert max(play.sent.values()) == 2
    assert endpoint.asked[-1].text == CALLS[0].messages[0].content
    await model.aclose()


async def test_a_call_whose_both_sendings_fail_is_one_failure(endpoint: RawEndpoint) -> None:
    model = client(endpoint, 95.0, timeout_s=0.4)
    await model.complete(CALLS)

    def play(asked: Asked) -> Play | None:
        return (lambda writer: asyncio.sleep(60)) if asked.text == "never" else None

    endpoint.play = play
    (outcome,) = await model.complete([ask("never")])
    assert isinstance(outcome, Failed)
    assert outcome.kind == "infrastructure"
    assert sum(asked.text == "never" for asked in endpoint.asked) == 4
    assert model._limiter.gate.in_flight == 0
    await model.aclose()


async def known(gate: AdaptiveGate) -> Hedging:
    hedge = Hedging(50.0, gate)

    async def quick() -> None:
        await asyncio.sleep(0.002)

    for _ in range(ENOUGH):
        await hedge.run(quick)
    return hedge


async def test_a_transient_failure_waits_for_the_second_call() -> None:
    hedge = await known(AdaptiveGate(4))
    sendings = 0

    async def first_fails() -> str:
        nonlocal sendings
        sendings += 1
        if sendings == 1:
            await asyncio.sleep(0.05)
            raise Transient("busy")
        await asyncio.sleep(0.1)
        return "there"

    assert await hedge.run(first_fails) == "there"

    async def broken() -> str:
        await asyncio.sleep(0.05)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await hedge.run(broken)


async def test_who_leaves_leaves_no_sending_behind() -> None:
    gate = AdaptiveGate(4)
    hedge = await known(gate)
    running = asyncio.create_task(hedge.run(lambda: asyncio.sleep(60)))
    await asyncio.sleep(0.1)
    assert gate.in_flight == 1  # the second sending; the first one's place is its caller's
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert gate.in_flight == 0
    assert len(asyncio.all_tasks()) == 1
