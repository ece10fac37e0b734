"""A caller's part of a shared window, with the office in this process: it keeps to its word, and waits for none that is gone."""

import asyncio
from collections.abc import Sequence

import pytest

from serving.joint_window import JointWindow
from serving.limiter import Limiter, all_of
from serving.sharing import Report, SharedWindow

EVERY_S = 0.02


class LocalOffice:
    """As the actor, but here. Says nothing while it is `away`."""

    def __init__(self) -> None:
        self.shared = SharedWindow()
        self.away = False
        self.reports: list[Report] = []

    async def report(self, caller: str, report: Report) -> int | None:
        await asyncio.sleep(0.001)
        self.reports.append(report)
        return None if self.away else self.shared.report(caller, report)


class Endpoint:
    """Counts what is in flight, of all callers."""

    def __init__(self) -> None:
        self.in_flight = self.peak = self.calls = 0

    async def call(self) -> None:
        self.calls += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(0.003)
        finally:
            self.in_flight -= 1


def limiters(office: LocalOffice, number: int, most: int = 6) -> list[Limiter]:
    return [Limiter(most, window=JointWindow(office, "m", most, EVERY_S)) for _ in range(number)]


async def run_all(callers: Sequence[Limiter], endpoint: Endpoint, jobs: int) -> None:
    await all_of(caller.run(endpoint.call) for caller in callers for _ in range(jobs))


async def test_all_callers_together_keep_to_the_window_and_use_it() -> None:
    endpoint = Endpoint()
    await run_all(limiters(LocalOffice(), 4), endpoint, 60)
    assert (endpoint.calls, endpoint.peak) == (240, 6)


async def test_more_callers_than_places_all_come_to_their_end() -> None:
    endpoint = Endpoint()
    await asyncio.wait_for(run_all(limiters(LocalOffice(), 5, most=2), endpoint, 10), 60)
    assert (endpoint.calls, endpoint.peak) == (50, 2)


async def test_a_caller_without_work_says_so_once_and_then_nothing() -> None:
    office = LocalOffice()
    (caller,) = limiters(office, 1)
    await run_all([caller], Endpoint(), 10)
    await asyncio.sleep(4 * EVERY_S)
    reports = len(office.reports)
    assert office.reports[-1].demand == 0
    assert sum(report.good for report in office.reports) == 10
    await asyncio.sleep(4 * EVERY_S)
    assert len(office.reports) == reports
    await run_all([caller], Endpoint(), 10)


async def test_where_the_office_has_gone_the_last_word_stands() -> None:
    office, endpoint = LocalOffice(), Endpoint()
    callers = limiters(office, 2)
    running = asyncio.create_task(run_all(callers, endpoint, 100))
    await asyncio.sleep(5 * EVERY_S)
    office.away = True
    await asyncio.wait_for(running, 30)
    assert (endpoint.calls, endpoint.peak) == (200, 6)


async def test_a_caller_that_has_never_had_a_word_goes_on_with_a_part() -> None:
    office, endpoint = LocalOffice(), Endpoint()
    office.away = True
    await asyncio.wait_for(run_all(limiters(office, 1, most=8), endpoint, 20), 30)
    assert (endpoint.calls, endpoint.peak) == (20, 2)


async def test_a_mistake_in_the_office_is_heard_by_those_who_wait() -> None:
    class Broken(LocalOffice):
        async def report(self, caller: str, report: Report) -> int | None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(run_all(limiters(Broken(), 1), Endpoint(), 3), 5)


async def test_closing_gives_the_places_back() -> None:
    office = LocalOffice()
    one, other = (JointWindow(office, "m", 6, EVERY_S) for _ in range(2))
    await one.enter()
    await one.aclose()
    await other.enter()
    assert office.reports[-2].demand == 0
    other.leave()
    await other.aclose()
