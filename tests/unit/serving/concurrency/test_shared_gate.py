"""A caller's part of a shared gate, with the slot server in this process: it keeps to its word,
and waits for none that is gone.
"""

import asyncio
from collections.abc import Sequence

import pytest

from serving.concurrency.fair_share import LEASE_S, FairShare, Report
from serving.concurrency.retrying import Limiter, all_of
from serving.concurrency.shared_gate import SharedGate

EVERY_S = 0.02


class LocalSlotServer:
    """The slot server in this process; it does not answer while it is `away`."""

    def __init__(self) -> None:
        self.shared = FairShare()
        self.away = False
        self.reports: list[Report] = []

    async def report(self, caller: str, report: Report) -> int | None:
        await asyncio.sleep(0.001)
        self.reports.append(report)
        return None if self.away else self.shared.report(caller, report)

    def gone(self, caller: str) -> None:
        self.shared.gone(caller)


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


def limiters(slot_server: LocalSlotServer, number: int, most: int = 6) -> list[Limiter]:
    return [Limiter(most, gate=SharedGate(slot_server, "m", most, EVERY_S)) for _ in range(number)]


async def run_all(callers: Sequence[Limiter], endpoint: Endpoint, jobs: int) -> None:
    await all_of(caller.run(endpoint.call) for caller in callers for _ in range(jobs))


async def test_all_callers_together_keep_to_the_limit_and_use_it() -> None:
    endpoint = Endpoint()
    await run_all(limiters(LocalSlotServer(), 4), endpoint, 60)
    assert (endpoint.calls, endpoint.peak) == (240, 6)


async def test_more_callers_than_places_all_come_to_their_end() -> None:
    endpoint = Endpoint()
    await asyncio.wait_for(run_all(limiters(LocalSlotServer(), 5, most=2), endpoint, 10), 60)
    assert (endpoint.calls, endpoint.peak) == (50, 2)


async def test_a_caller_without_work_says_so_once_and_then_nothing() -> None:
    slot_server = LocalSlotServer()
    (caller,) = limiters(slot_server, 1)
    await run_all([caller], Endpoint(), 10)
    await asyncio.sleep(4 * EVERY_S)
    reports = len(slot_server.reports)
    assert slot_server.reports[-1].demand == 0
    assert sum(report.good for report in slot_server.reports) == 10
    await asyncio.sleep(4 * EVERY_S)
    assert len(slot_server.reports) == reports
    await run_all([caller], Endpoint(), 10)


async def test_where_the_slot_server_has_gone_the_last_word_stands() -> None:
    slot_server, endpoint = LocalSlotServer(), Endpoint()
    callers = limiters(slot_server, 2)
    running = asyncio.create_task(run_all(callers, endpoint, 100))
    async with asyncio.timeout(30):
        while endpoint.peak < 6 or not all(caller.gate.size for caller in callers):
            await asyncio.sleep(EVERY_S / 4)
        slot_server.away = True
        await running
    assert (endpoint.calls, endpoint.peak) == (200, 6)


async def test_a_caller_that_has_never_had_a_word_goes_on_with_a_part() -> None:
    slot_server, endpoint = LocalSlotServer(), Endpoint()
    slot_server.away = True
    await asyncio.wait_for(run_all(limiters(slot_server, 1, most=8), endpoint, 20), 30)
    assert (endpoint.calls, endpoint.peak) == (20, 2)


async def test_a_mistake_in_the_slot_server_is_heard_by_those_who_wait() -> None:
    class Broken(LocalSlotServer):
        async def report(self, caller: str, report: Report) -> int | None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(run_all(limiters(Broken(), 1), Endpoint(), 3), 5)


async def test_closing_gives_the_places_back() -> None:
    slot_server = LocalSlotServer()
    one, other = (SharedGate(slot_server, "m", 6, EVERY_S) for _ in range(2))
    await one.enter()
    await one.aclose()
    await other.enter()
    assert slot_server.reports[-2].demand == 0
    other.leave()
    await other.aclose()


class Starving(LocalSlotServer):
    """The same slot server as a caller sees it whose event loop stands still: nothing that it says
    arrives.
    """

    def __init__(self, shared: FairShare) -> None:
        super().__init__()
        self.shared = shared
        self.starves = False

    async def report(self, caller: str, report: Report) -> int | None:
        while self.starves:
            await asyncio.sleep(0.001)
        return await super().report(caller, report)


class Hands:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def let_in(gates: Sequence[SharedGate], number: int, deadline_s: float = 0.3) -> list[int]:
    """Return how many calls each gate admits of `number`; they do not end."""
    entering = [asyncio.ensure_future(gate.enter()) for gate in gates for _ in range(number)]
    await asyncio.wait(entering, timeout=deadline_s)
    return [gate.in_flight for gate in gates]


async def test_what_a_starving_caller_has_in_flight_is_nobody_elses() -> None:
    clock = Hands()
    shared = FairShare(clock)
    starving, slot_server = Starving(shared), LocalSlotServer()
    slot_server.shared = shared
    one, other = SharedGate(starving, "m", 64, EVERY_S), SharedGate(slot_server, "m", 64, EVERY_S)
    assert await let_in([one], 64) == [64]
    starving.starves = True
    clock.now += 10
    assert await let_in([one, other], 64) == [64, 0]
    for gate in (one, other):
        await cancelled(gate)


async def test_after_a_pause_nothing_is_sent_before_a_new_report() -> None:
    clock = Hands()
    shared = FairShare(clock)
    slot_server = Starving(shared)
    gate = SharedGate(slot_server, "m", 64, EVERY_S, clock=clock)
    assert await let_in([gate], 10) == [10]
    gate.leave()
    slot_server.starves = True
    clock.now += LEASE_S + 0.1
    assert await let_in([gate], 1) == [9]
    assert gate.size == 9
    slot_server.starves = False
    shared.gone(gate._caller)
    shared.report("another", Report(model="m", most=64, demand=64, in_flight=0))
    await asyncio.sleep(5 * EVERY_S)
    assert gate.in_flight == 9, "its places were another's meanwhile"
    shared.gone("another")
    async with asyncio.timeout(5):
        while gate.in_flight < 10:
            await asyncio.sleep(EVERY_S)
    await cancelled(gate)


async def test_a_call_that_was_admitted_under_a_lapsed_grant_waits_again() -> None:
    clock = Hands()
    slot_server = Starving(FairShare(clock))
    gate = SharedGate(slot_server, "m", 1, EVERY_S, clock=clock)
    await gate.enter()
    entering = asyncio.ensure_future(gate.enter())
    await asyncio.sleep(2 * EVERY_S)
    slot_server.starves = True
    gate.leave()  # its turn has come
    assert gate.in_flight == 1
    clock.now += LEASE_S + 0.1
    await asyncio.sleep(2 * EVERY_S)
    assert (entering.done(), gate.in_flight) == (False, 0)
    slot_server.starves = False
    await asyncio.wait_for(entering, 5)
    await cancelled(gate)


async def test_an_slot_server_that_is_away_for_long_lets_the_last_word_stand() -> None:
    clock = Hands()
    slot_server = LocalSlotServer()
    gate = SharedGate(slot_server, "m", 6, EVERY_S, clock=clock)
    assert await let_in([gate], 6) == [6]
    slot_server.away = True
    for _ in range(8):
        clock.now += LEASE_S / 2
        await asyncio.sleep(3 * EVERY_S)
    gate.leave()
    assert await let_in([gate], 1) == [6]
    await cancelled(gate)


async def test_a_loop_that_ends_gives_the_places_of_its_calls_back() -> None:
    slot_server = LocalSlotServer()
    gate = SharedGate(slot_server, "m", 6, EVERY_S)
    assert await let_in([gate], 6) == [6]
    await cancelled(gate)
    assert slot_server.shared.use().in_flight == 0


async def cancelled(gate: SharedGate) -> None:
    """Ends what a test leaves waiting."""
    if gate._reporting:
        gate._reporting.cancel()
        await asyncio.gather(gate._reporting, return_exceptions=True)
    for turn in gate._waiting:
        turn.cancel()


async def test_the_next_caller_reports_again_to_a_slot_server_that_broke() -> None:
    class BrokenOnce(LocalSlotServer):
        broken = True

        async def report(self, caller: str, report: Report) -> int | None:
            if self.broken:
                self.broken = False
                raise ZeroDivisionError
            return await super().report(caller, report)

    (caller,) = limiters(BrokenOnce(), 1)
    with pytest.raises(ZeroDivisionError):
        await run_all([caller], Endpoint(), 3)
    endpoint = Endpoint()
    await asyncio.wait_for(run_all([caller], endpoint, 3), 5)
    assert endpoint.calls == 3
