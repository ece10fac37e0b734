"""A caller's part of a concurrency limit that many share.

While there is work it reports about four times a second, and at once where all requested slots were
granted and it wants more, or where it got fewer: a slot server may delay its answer to a caller
that wants more, to grant free slots as soon as there are some. Without work it releases its slots
and is silent. Where the slot server does not answer, the last grant stands.

A grant is a lease (see fair_share): a caller that could not report for longer than LEASE_S, as its
event loop stood still, sends nothing before it has reported again. The lapse is checked by its own
clock, at the moment of sending. Knows a slot server to report to, not that it is on Ray.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Protocol

from serving.concurrency.fair_share import CALL_S, LEASE_S, Group, Report
from serving.concurrency.gate import Gate

REPORT_EVERY_S = 0.25
SOONEST_S = 0.02
"""Minimum seconds between two reports, however much is wanted."""
SHARE_WITHOUT_WORD = 4
"""A caller without any answer from the slot server uses the maximum divided by this [ours]."""


class SlotServer(Protocol):
    """Grants slots."""

    async def report(self, caller: str, report: Report) -> int | None:
        """Return slots for this caller until its next report; None: no answer. Never raises."""

    def gone(self, caller: str) -> None:
        """Record that this caller ends, and its calls with it.

        Returns at once; never raises.
        """


class SharedGate(Gate):
    """A gate whose size is granted by a slot server; for one event loop."""

    def __init__(
        self,
        slot_server: SlotServer,
        model: str,
        most: int,
        report_every_s: float = REPORT_EVERY_S,
        group: Group = (),
        lasts_s: float = CALL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without a grant.

        Args:
            slot_server: Grants slots.
            model: Name of the model, which has a maximum of its own.
            most: Maximum of concurrent calls in the model's settings.
            report_every_s: Seconds between two reports.
            group: The groups of the caller, the widest first.
            lasts_s: Seconds that a call may be in flight.
            clock: Seconds on a clock that does not go back.
        """
        super().__init__()
        self._slot_server = slot_server
        self._model = model
        self._most = most
        self._group = group
        self._report_every_s = report_every_s
        # A new name for each gate: a slot server that knew an earlier one must not mix up their
        # slots.
        self._caller = uuid.uuid4().hex
        self._lasts_s = lasts_s
        self._clock = clock
        self._allowed = 0
        # Without slots: nothing is sent before the first grant.
        self._lapses_at = clock()
        self._reported_demand = 0
        """The demand in the last report."""
        self._was_answered = False
        self._wants_more = asyncio.Event()
        self._reporting: asyncio.Task[None] | None = None
        self._forget()

    @property
    def size(self) -> int:
        """Return the granted slots; once the grant has lapsed, no more than are in use."""
        return min(self._allowed, self.in_flight) if self._lapsed else self._allowed

    @property
    def _lapsed(self) -> bool:
        return self._clock() > self._lapses_at

    async def enter(self) -> None:
        """Wait for a slot under a valid grant."""
        while True:
            if self._reporting is None:
                # Started by the first call and ended when idle: a gate that nobody uses costs the
                # slot server nothing.
                self._reporting = asyncio.create_task(self._report_while_busy())
                self._reporting.add_done_callback(self._ended)
            # The last report asked for no more than was granted, and that is used up: the server
            # cannot know of this call yet.
            elif self._lapsed or self._reported_demand <= self._allowed <= self.in_flight:
                self._wants_more.set()
            await super().enter()
            if not self._lapsed:
                return
            # It was admitted, and its loop stood still before it came to send.
            self.leave()

    def leave(self) -> None:
        """Release a slot."""
        super().leave()
        if not (self.in_flight or self.waiting):
            # It wants fewer, in fact: others may have the slots at once.
            self._wants_more.set()

    def went_well(self, effort: float | None = None) -> None:
        """Record a call that was answered for the next report."""
        self._good += 1
        if effort is not None:
            self._measured += 1
            self._efforts += effort

    def pushed_back(self) -> None:
        """Record for the next report that the other side asked for fewer calls."""
        self._pushed_back = True

    async def aclose(self) -> None:
        """Stop reporting and release the slots."""
        if self._reporting:
            reporting, self._reporting = self._reporting, None
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            # Without demand a caller is gone: its slots are free at once, and not when its lease
            # ends.
            await self._slot_server.report(self._caller, self._report(demand=0))

    async def _report_while_busy(self) -> None:
        try:
            await self._report_until_idle()
        except asyncio.CancelledError:
            # The loop ends, and all calls in it.
            self._slot_server.gone(self._caller)
            raise

    async def _report_until_idle(self) -> None:
        while True:
            self._reported_demand, sent_at = self.in_flight + self.waiting, self._clock()
            granted = await self._slot_server.report(
                self._caller, self._report(self._reported_demand)
            )
            self._apply(granted, sent_at)
            # Idle at the time of the report and still idle: nothing arrived in between.
            if not (self._reported_demand or self.in_flight or self.waiting):
                # It was reported: these slots are another caller's now.
                self._reporting, self._allowed = (
                    None,
                    0,
                )
                return
            # Calls that arrive together are reported together.
            await asyncio.sleep(min(SOONEST_S, self._report_every_s))
            if granted is not None and granted < self._reported_demand:
                # The slot server answers when there is more, or after a while.
                continue
            try:
                async with asyncio.timeout(self._report_every_s):
                    await self._wants_more.wait()
            except TimeoutError:
                pass

    def _apply(self, granted: int | None, sent_at: float) -> None:
        # What was wanted before this grant is in the report that it answers.
        self._wants_more.clear()
        if granted is not None:
            self._lapses_at = sent_at + LEASE_S
        elif (now := self._clock()) - sent_at <= LEASE_S:
            # It is the slot server that is away; else the answer may lie here, and we stood still.
            self._lapses_at = now + LEASE_S
        self._was_answered = self._was_answered or granted is not None
        if granted is not None:
            self._allowed = granted
        # The server was never reached: a few slots of our own, so that an experiment does not stand
        # still without it.
        elif not self._was_answered:
            self._allowed = max(1, self._most // SHARE_WITHOUT_WORD)
        self._admit_waiting()

    def _report(self, demand: int) -> Report:
        mean = self._efforts / self._measured if self._measured else 0.0
        report = Report(
            model=self._model,
            most=self._most,
            demand=demand,
            in_flight=self.in_flight,
            good=self._good,
            pushed_back=self._pushed_back,
            effort=mean,
            measured=self._measured,
            group=self._group,
            lasts_s=self._lasts_s,
        )
        self._forget()
        return report

    def _forget(self) -> None:
        """Start a new report."""
        self._good = self._measured = 0
        self._efforts = 0.0
        self._pushed_back = False

    def _ended(self, reporting: asyncio.Task[None]) -> None:
        """Raise an unexpected error of the reporter in all waiters.

        The next caller starts a new reporter.
        """
        if self._reporting is reporting:
            self._reporting, self._allowed = None, 0
        broken = None if reporting.cancelled() else reporting.exception()
        for turn in self._waiting:
            if broken and not turn.done():
                turn.set_exception(broken)
