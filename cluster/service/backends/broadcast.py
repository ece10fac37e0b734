"""Follows the events of many jobs for many listeners with one poll of the controller at a time.

All who follow a job read the same list of its events; what is new in all followed jobs comes with
one long poll. While the controller does not answer, events come from storage; if neither answers,
the listeners get an error. Knows neither where the controller runs nor Ray.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from cluster.service.schemas import ENDS, Event
from optimizer.errors import PromptrayError, StorageError
from serving.runtime.supervision import Backoff, Supervisor
from serving.runtime.wakeup import Wakeup

POLL_S = 20.0
"""Seconds that the controller may wait for an event before it answers that there is none [ours]."""
LATE_S = 40.0
"""Seconds by which its answer may be later than that [ours]."""
ATTEMPTS = 3
"""Polls of a broken controller, after which the listeners get an error and may connect again
[ours].
"""
PollEvents = Callable[
    [Mapping[str, int], float], Awaitable[dict[str, list[Event] | PromptrayError]]
]
"""Asks the controller for new events of jobs: job -> events, or the error for which there are none.
"""


@dataclass
class _Followed:
    """A job that somebody follows, with its events from the first on."""

    events: list[Event] = field(default_factory=list)
    listeners: int = 0
    changed: Wakeup = field(default_factory=Wakeup)
    fault: PromptrayError | None = None

    @property
    def over(self) -> bool:
        return bool(self.events) and self.events[-1].kind in ENDS


class EventBroadcaster:
    """Gives the events of jobs to all who follow them; for one event loop."""

    def __init__(
        self,
        poll: PollEvents,
        read_stored: Callable[[str], Awaitable[list[Event]]],
        backoff: Backoff | None = None,
        late_s: float = LATE_S,
    ) -> None:
        """Follow no job yet.

        Args:
            poll: Asks the controller for new events.
            read_stored: Reads all events of a job from storage.
            backoff: The pauses between polls after faults; None: the usual ones.
            late_s: See LATE_S.
        """
        self._poll_events = poll
        self._read_stored = read_stored
        self._late_s = late_s
        self._tasks = Supervisor("the listeners of events", backoff)
        self._followed: dict[str, _Followed] = {}
        self._polling: asyncio.Task[None] | None = None
        self._more = asyncio.Event()
        """Set when somebody follows another job than before."""
        self._failures = 0
        """Polls in a row on which the controller broke."""

    def faults(self, least: int = 1) -> list[str]:
        """Return one sentence for each background task that fails; see Supervisor.faults."""
        return self._tasks.faults(least)

    async def follow(self, job: str, after: int) -> AsyncIterator[Event]:
        """Yield the events of a job with ids above `after`; see JobBackend.follow."""
        own = self._followed.setdefault(job, _Followed())
        own.listeners += 1
        try:
            # The first listener reads the past from storage; later ones share its list.
            if own.listeners == 1:
                await self._read(job, own)
            self._poll()
            while True:
                # Taken before the events are read: one that is added meanwhile sets this very flag.
                changed = own.changed.next
                for event in own.events[after:]:
                    after = event.id
                    yield event
                # After the events were given: a job that is over has a last event that everybody
                # must see.
                if own.over and after >= len(own.events):
                    return
                if own.fault:
                    raise own.fault
                # It was replaced if something came while the events were given: then look again at
                # once.
                if changed is own.changed.next:
                    await self._wait(changed)
        finally:
            own.listeners -= 1
            # `is own`: after an error another list may stand under this name, with listeners of its
            # own.
            if not own.listeners and self._followed.get(job) is own:
                del self._followed[job]

    async def _wait(self, changed: asyncio.Event) -> None:
        """Wait for something new, or until it is time to check that the controller is polled."""
        try:
            async with asyncio.timeout(POLL_S + self._late_s):
                await changed.wait()
        except TimeoutError:
            self._poll()

    def _poll(self) -> None:
        # The poll under way does not know of this job: it is cut short and begun again with it.
        self._more.set()
        if self._polling is None or self._polling.done():
            self._polling = self._tasks.until_done("polling the controller", self._poll_all)

    async def _poll_all(self) -> None:
        """Poll the controller as long as somebody follows anything."""
        while self._followed:
            self._more.clear()
            # Ids count from 1 without gaps, so the number of events is the last id.
            after = {job: len(one.events) for job, one in self._followed.items()}
            answer = asyncio.ensure_future(self._poll_controller(after))
            more = asyncio.ensure_future(self._more.wait())
            try:
                # An answer that has come is taken even if somebody joined in the same moment.
                await asyncio.wait([answer, more], return_when=asyncio.FIRST_COMPLETED)
                if answer.done():
                    await self._add(answer.result())
            finally:
                more.cancel()
                answer.cancel()

    async def _poll_controller(
        self, after: Mapping[str, int]
    ) -> dict[str, list[Event] | PromptrayError]:
        """Return the controller's answer.

        An error that it answers with goes to all listeners. Any other fault is raised, so that the
        poll is repeated, and until then events come from storage.
        """
        try:
            async with asyncio.timeout(POLL_S + self._late_s):
                found = await self._poll_events(after, POLL_S)
        except PromptrayError as problem:
            return dict.fromkeys(after, problem)
        except Exception as problem:
            self._failures += 1
            # Listeners are told to connect again: a web page shows that, where silence would look
            # like an idle job.
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
            # The supervisor repeats the poll after a pause, and reports a fault that lasts.
            raise problem from None
        self._failures = 0
        return found

    async def _add(self, found: Mapping[str, list[Event] | PromptrayError]) -> None:
        for job, events in found.items():
            one = self._followed.get(job)
            if one is None:
                continue
            if isinstance(events, PromptrayError):
                self._end(job, events)
                continue
            # The answer may repeat what was read from storage while the poll was under way.
            new = [event for event in events if event.id > len(one.events)]
            if [event.id for event in new] == list(
                range(len(one.events) + 1, len(one.events) + len(new) + 1)
            ):
                one.events += new
                one.changed.wake()
            elif not await self._read(job, one):  # one is missing between, and none is skipped
                self._end(
                    job,
                    StorageError(
                        f"Event {len(one.events) + 1} of this job is missing; ask for its events "
                        "again."
                    ),
                )

    def _end(self, job: str, fault: PromptrayError) -> None:
        """End all who follow the job now with this error; whoever comes later starts again."""
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
        """Take the events from storage if there are more of them, and return whether there were."""
        stored = await self._read_stored(job)
        # Storage may be behind: a list in memory is never replaced by a shorter one.
        if len(stored) <= len(one.events):
            return False
        one.events = stored
        one.changed.wake()
        return True
