"""A caller's part of a window that many share.

Knows whom to report to (an Slot server), not that it is on Ray.

While there is work it reports about four times a second, and at once where all that it asked for
was granted and it wants more, or where it got less: an slot server may keep a caller waiting that
wants more, to tell it of free places as soon as there are some. Without work it gives its places
back and says nothing. Where the slot server says nothing, the last word stands.

A grant is a lease (see sharing): a caller that could not report for longer than LEASE_S, as its
event loop stood still, sends nothing before it has reported again. What lapses is seen by its own
clock, at the moment of sending.
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
"""Between two reports, however much is wanted."""
SHARE_WITHOUT_WORD = 4
"""One in so many of the most: what a caller takes that has never had a word from the slot server
[ours].
"""


class SlotServer(Protocol):
    """Who grants places."""

    async def report(self, caller: str, report: Report) -> int | None:
        """Places for this caller until its next report; None: no word. Never raises."""

    def gone(self, caller: str) -> None:
        """Takes note that this caller ends, and its calls with it.

        Returns at once; never raises.
        """


class SharedGate(Gate):
    """For one event loop."""

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
        """`lasts_s`: how long a call may be under way."""
        super().__init__()
        self._slot_server = slot_server
        self._model = model
        self._most = most
        self._group = group
        self._report_every_s = report_every_s
        self._caller = uuid.uuid4().hex
        self._lasts_s = lasts_s
        self._clock = clock
        self._allowed = 0
        self._lapses_at = clock()
        self._told = 0
        """The demand in the last report."""
        self._heard = False
        self._wants_more = asyncio.Event()
        self._reporting: asyncio.Task[None] | None = None
        self._forget()

    @property
    def size(self) -> int:
        """What was granted; once that has lapsed, no more than is in use."""
        return min(self._allowed, self.in_flight) if self._lapsed else self._allowed

    @property
    def _lapsed(self) -> bool:
        return self._clock() > self._lapses_at

    async def enter(self) -> None:
        while True:
            if self._reporting is None:
                self._reporting = asyncio.create_task(self._report_while_busy())
                self._reporting.add_done_callback(self._ended)
            elif self._lapsed or self._told <= self._allowed <= self.in_flight:
                self._wants_more.set()
            await super().enter()
            if not self._lapsed:
                return
            self.leave()  # it was let in, and its loop stood still before it came to send

    def leave(self) -> None:
        super().leave()
        if not (self.in_flight or self.waiting):
            self._wants_more.set()  # or rather less: others may have the places at once

    def went_well(self, effort: float | None = None) -> None:
        self._good += 1
        if effort is not None:
            self._measured += 1
            self._efforts += effort

    def pushed_back(self) -> None:
        self._pushed_back = True

    async def aclose(self) -> None:
        """Stops reporting and gives the places back."""
        if self._reporting:
            reporting, self._reporting = self._reporting, None
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            await self._slot_server.report(self._caller, self._report(demand=0))

    async def _report_while_busy(self) -> None:
        try:
            await self._report_until_idle()
        except asyncio.CancelledError:
            self._slot_server.gone(self._caller)  # the loop ends, and whatever was under way in it
            raise

    async def _report_until_idle(self) -> None:
        while True:
            self._told, sent_at = self.in_flight + self.waiting, self._clock()
            granted = await self._slot_server.report(self._caller, self._report(self._told))
            self._take(granted, sent_at)
            if not (self._told or self.in_flight or self.waiting):
                self._reporting, self._allowed = (
                    None,
                    0,
                )  # it was told: these places are another's now
                return
            await asyncio.sleep(min(SOONEST_S, self._report_every_s))
            if granted is not None and granted < self._told:
                continue  # the slot server answers when there is more, or after a while
            try:
                async with asyncio.timeout(self._report_every_s):
                    await self._wants_more.wait()
            except TimeoutError:
                pass

    def _take(self, granted: int | None, sent_at: float) -> None:
        self._wants_more.clear()
        if granted is not None:
            self._lapses_at = sent_at + LEASE_S
        elif (now := self._clock()) - sent_at <= LEASE_S:
            # It is the slot server that is away; else the answer may lie here, and we stood still.
            self._lapses_at = now + LEASE_S
        self._heard = self._heard or granted is not None
        if granted is not None:
            self._allowed = granted
        elif not self._heard:
            self._allowed = max(1, self._most // SHARE_WITHOUT_WORD)
        self._let_in()

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
        """Begins a new report."""
        self._good = self._measured = 0
        self._efforts = 0.0
        self._pushed_back = False

    def _ended(self, reporting: asyncio.Task[None]) -> None:
        """A reporter that broke by a mistake of ours leaves nobody waiting, and the next who comes
        begins a new one.
        """
        if self._reporting is reporting:
            self._reporting, self._allowed = None, 0
        broken = None if reporting.cancelled() else reporting.exception()
        for turn in self._waiting:
            if broken and not turn.done():
                turn.set_exception(broken)
