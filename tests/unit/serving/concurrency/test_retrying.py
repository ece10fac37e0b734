"""The gate finds its size, retries are bounded, and nothing waits with a place in its hands."""

import asyncio
import pickle
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import AccessError
from serving.concurrency.aimd import effort
from serving.concurrency.gate import AdaptiveGate
from serving.concurrency.retrying import Limiter, Retry, Transient, all_of


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def limiter(most: int = 4, attempts: int = 3, retry_s: float = 300.0) -> tuple[Limiter, Clock]:
    clock = Clock()
    retry = Retry(attempts=attempts, retry_s=retry_s)
    return Limiter(
        most, retry, gate=AdaptiveGate(most, clock), sleep=clock.sleep, rng=Random(0), clock=clock
    ), clock


async def test_no_more_calls_run_than_the_limit_allows() -> None:
    limits, _ = limiter(most=3)
    running, highest = 0, 0

    async def job() -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0.001)
        running -= 1

    await all_of(limits.run(job) for _ in range(20))
    assert highest == 3
    assert limits.gate.in_flight == 0


async def test_a_passing_fault_is_tried_again_and_then_raised() -> None:
    limits, clock = limiter(attempts=3)
    calls = 0

    async def job() -> None:
        nonlocal calls
        calls += 1
        raise Transient("later")

    with pytest.raises(Transient, match="later"):
        await limits.run(job)
    assert calls == 3
    assert len(clock.naps) == 2
    assert limits.gate.in_flight == 0


async def test_another_error_is_raised_at_once() -> None:
    limits, clock = limiter()

    async def job() -> None:
        raise AccessError("no")

    with pytest.raises(AccessError):
        await limits.run(job)
    assert clock.naps == []
    assert limits.gate.in_flight == 0


async def test_the_pause_that_was_asked_for_is_kept_within_bounds() -> None:
    limits, clock = limiter(attempts=3)
    waits = iter([7.0, 1e9])

    async def job() -> str:
        wait = next(waits, None)
        if wait is None:
            return "done"
        raise Transient("busy", overloaded=True, wait_s=wait)

    assert await limits.run(job) == "done"
    assert 7.0 <= clock.naps[0] <= 7.7, "never sooner, and not all at once"
    assert clock.naps[1:] == [Retry().longest_requested_s]


async def test_no_attempt_begins_later_than_its_time_allows() -> None:
    limits, clock = limiter(attempts=100, retry_s=10.0)
    began = []

    async def job() -> None:
        began.append(clock.now)
        raise Transient("later")

    with pytest.raises(Transient):
        await limits.run(job)
    assert 4 <= len(began) < 10
    assert began[-1] <= 10.0


class Outages:
    """A patience that excuses the first failures of each job."""

    def __init__(self, excused: int) -> None:
        self.left = excused
        self.lasts: list[bool] = []

    async def over(self) -> None:
        pass

    async def excuses(self, problem: Transient, last: bool, failing_since: float) -> bool:
        self.lasts.append(last)
        self.left -= last
        return last and self.left >= 0


@pytest.mark.parametrize(("excused", "attempts"), [(0, 2), (2, 6), (50, 12)])
async def test_attempts_that_an_outage_took_begin_anew_but_not_for_ever(
    excused: int, attempts: int
) -> None:
    clock = Clock()
    limits = Limiter(
        4, Retry(attempts=2), sleep=clock.sleep, clock=clock, circuit_breaker=Outages(excused)
    )
    calls = 0

    async def job() -> None:
        nonlocal calls
        calls += 1
        raise Transient("gone")

    with pytest.raises(Transient):
        await limits.run(job)
    assert calls == attempts


def test_latency_narrows_the_limit_only_where_it_is_far_above_the_usual() -> None:
    clock = Clock()
    gate = AdaptiveGate(64, clock)
    draw = Random(0)
    for _ in range(
        2000
    ):  # ordinary answers: 1 to 500 tokens, and twice as long as the shortest time or half as long again
        clock.now += 0.1
        tokens = draw.randint(1, 500)
        gate.went_well(effort(draw.uniform(0.7, 2.0) * (0.5 + tokens * 0.01), tokens))
    assert gate.size == 64
    for _ in range(100):
        clock.now += 0.1
        gate.went_well(effort(20.0, 100))
    assert 8 <= gate.size < 64


def test_longer_answers_are_no_sign_of_anything() -> None:
    clock = Clock()
    gate = AdaptiveGate(64, clock)
    for tokens in [5] * 600 + [400] * 600:  # a judge's words, then an optimizer model's
        clock.now += 0.1
        gate.went_well(effort(0.5 + 0.02 * tokens, tokens))
    assert gate.size == 64


def test_latency_alone_never_closes_the_gate() -> None:
    clock = Clock()
    gate = AdaptiveGate(64, clock)
    for number in range(20_000):
        clock.now += 0.5
        gate.went_well(1.003**number)  # always slower
    assert gate.size >= 7


def test_a_burst_of_push_backs_halves_once_and_good_calls_widen_again() -> None:
    clock = Clock()
    gate = AdaptiveGate(16, clock)
    for _ in range(10):
        gate.pushed_back()
    assert gate.size == 8
    for _ in range(30):
        clock.now += 2
        gate.pushed_back()
    assert gate.size == 1
    for _ in range(200):
        gate.went_well()
    assert gate.size == 16


async def test_a_cancelled_waiter_gives_its_place_on() -> None:
    gate = AdaptiveGate(1)
    await gate.enter()
    waiters = [asyncio.create_task(gate.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    gate.leave()
    waiters[1].cancel()  # let in, and cancelled before it ran
    await asyncio.wait_for(waiters[2], 1)
    assert gate.in_flight == 1


@given(st.integers(1, 12), st.one_of(st.none(), st.floats(-10, 1e6)), st.integers())
def test_a_pause_is_never_negative_nor_too_long(
    attempt: int, requested_s: float | None, seed: int
) -> None:
    retry = Retry()
    longest_s = retry.longest_wait_s if requested_s is None else retry.longest_requested_s
    assert 0 <= retry.wait_s(attempt, requested_s, Random(seed)) <= longest_s


async def test_the_first_error_ends_the_others_and_is_raised_as_it_is() -> None:
    ended = []

    async def patient() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def failing() -> None:
        await asyncio.sleep(0.001)
        raise AccessError("no")

    with pytest.raises(AccessError):
        await all_of([patient(), failing(), patient()])
    assert ended == [True, True]


def test_a_transient_survives_pickling() -> None:
    back = pickle.loads(pickle.dumps(Transient("busy", True, 3.0, True)))
    assert (back.reason, back.overloaded, back.wait_s, back.unreached) == ("busy", True, 3.0, True)
