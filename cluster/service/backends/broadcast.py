"""Many listeners of events in one process, for one question to the controller at a time.

Knows neither the controller's place nor Ray.

All who follow a job read the same list of its events; what is new in all jobs that somebody follows
comes with one long poll. While the controller cannot be asked, the events come from storage; where
neither says anything, those who listen are told so.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from cluster.service.schemas import ENDS, Event
from optimizer.errors import PromptrayError, StorageError
from serving.runtime.supervision import Pauses, Supervisor
from serving.runtime.wakeup import Wakeup

POLL_S = 20.0
"""How long the controller may wait before it says that there is nothing new [ours]."""
LATE_S = 40.0
"""How much later its answer may come [ours]."""
ATTEMPTS = 3
"""To ask it, where it is broken: then those who listen are told, and may come again [ours]."""
RunUpdates = Callable[
    [Mapping[str, int], float], Awaitable[dict[str, list[Event] | PromptrayError]]
]
"""Job -> its new events, or why it cannot be followed."""


@dataclass
class _Followed:
    """A job that somebody follows: its events from the first on."""

    events: list[Event] = field(default_factory=list)
    listeners: int = 0
    changed: Wakeup = field(default_factory=Wakeup)
    fault: PromptrayError | None = None

    @property
    def over(self) -> bool:
        return bool(self.events) and self.events[-1].kind in ENDS


class EventBroadcaster:
    """For one event loop. `news` is the controller's; `known` reads a job's events from storage."""

    def __init__(
        self,
        news: RunUpdates,
        known: Callable[[str], Awaitable[list[Event]]],
        pauses: Pauses | None = None,
        late_s: float = LATE_S,
    ) -> None:
        self._news = news
        self._known = known
        self._late_s = late_s
        self._tasks = Supervisor("the listeners of events", pauses)
        self._followed: dict[str, _Followed] = {}
        self._polling: asyncio.Task[None] | None = None
        self._more = asyncio.Event()
        """Somebody follows another job than before."""
        self._failures = 0
        """Questions in a row on which the controller broke."""

    def faults(self, least: int = 1) -> list[str]:
        """See Supervisor.faults."""
        return self._tasks.faults(least)

    async def follow(self, job: str, after: int) -> AsyncIterator[Event]:
        """As JobBackend.follow."""
        own = self._followed.setdefault(job, _Followed())
        own.listeners += 1
        try:
            if own.listeners == 1:
                await self._read(job, own)
            self._poll()
            while True:
                wake = own.changed.next
                for event in own.events[after:]:
                    after = event.id
                    yield event
                if own.over and after >= len(own.events):
                    return
                if own.fault:
                    raise own.fault
                if wake is own.changed.next:
                    await self._woken(wake)
        finally:
            own.listeners -= 1
            if not own.listeners and self._followed.get(job) is own:
                del self._followed[job]

    async def _woken(self, wake: asyncio.Event) -> None:
        """Returns when there is something new, or when it is time to see that somebody asks for
        it.
        """
        try:
            async with asyncio.timeout(POLL_S + self._late_s):
                await wake.wait()
        except TimeoutError:
            self._poll()

    def _poll(self) -> None:
        self._more.set()
        if self._polling is None or self._polling.done():
            self._polling = self._tasks.keep("the question for news", self._poll_all)

    async def _poll_all(self) -> None:
        """As long as somebody follows anything."""
        while self._followed:
            self._more.clear()
            after = {job: len(one.events) for job, one in self._followed.items()}
            asked = asyncio.ensure_future(self._asked(after))
            more = asyncio.ensure_future(self._more.wait())
            try:
                await asyncio.wait([asked, more], return_when=asyncio.FIRST_COMPLETED)
                if asked.done():
                    await self._take(asked.result())
            finally:
                more.cancel()
                asked.cancel()

    async def _asked(self, after: Mapping[str, int]) -> dict[str, list[Event] | PromptrayError]:
        """The controller's answer.

        What it refuses is told to all who listen; a fault that is no refusal is raised, and what
        stands on
        storage is taken meanwhile.
        """
        try:
            async with asyncio.timeout(POLL_S + self._late_s):
                found = await self._news(after, POLL_S)
        except PromptrayError as problem:
            return dict.fromkeys(after, problem)
        except Exception as problem:
            self._failures += 1
            if self._failures >= ATTEMPTS:
                self._failures = 0
                for job in list(self._followed):
                    self._end(
                        job,
                        StorageError(
                            "The events of this job cannot be followed now; ask for them again."
                        ),
                    )
            else:
                await self._read_all()
            raise problem from None
        self._failures = 0
        return found

    async def _take(self, found: Mapping[str, list[Event] | PromptrayError]) -> None:
        for job, news in found.items():
            one = self._followed.get(job)
            if one is None:
                continue
            if isinstance(news, PromptrayError):
                self._end(job, news)
                continue
            new = [event for event in news if event.id > len(one.events)]
            if [event.id for event in new] == list(
                range(len(one.events) + 1, len(one.events) + len(new) + 1)
            ):
                one.events += new
                one.changed.wake()
            elif not await self._read(
                job, one
            ):  # something is missing between: none is passed over
                self._end(
                    job,
                    StorageError(
                        f"Event {len(one.events) + 1} of this job is missing; ask for its events "
                        "again."
                    ),
                )

    def _end(self, job: str, fault: PromptrayError) -> None:
        """All who follow the job now leave with this; whoever comes after them begins anew."""
        if one := self._followed.pop(job, None):
            one.fault = fault
            one.changed.wake()

    async def _read_all(self) -> None:
        for job, one in list(self._followed.items()):
            try:
                await self._read(job, one)
            except PromptrayError as problem:
                self._end(job, problem)

    async def _read(self, job: str, one: _Followed) -> bool:
        """Takes what stands on storage, where it is more than is known, and says whether it was."""
        known = await self._known(job)
        if len(known) <= len(one.events):
            return False
        one.events = known
        one.changed.wake()
        return True
