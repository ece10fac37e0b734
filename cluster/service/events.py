"""A job's events: numbered from 1, on storage before anyone sees them, and each said once, however often the run is repeated.

Knows the storage as a place to put entries, and no job. For one event loop.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from cluster.service.objects import Event, EventKind
from optimizer.errors import StorageError

AGAIN_S = 1.0
"""After a write that failed [ours]."""
Put = Callable[[list[dict[str, Any]]], None]


class Said:
    """Which events a job has said, so that a repeated run does not say them again. After a `job.resumed` a trial may fail anew, and
    the job starts anew; a round, or a trial that has finished, stays what it was."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._keys: set[Hashable] = set()
        self._resumes = 0
        for event in events:
            self.add(event.kind, event.trial, event.message, event.data)

    def add(self, kind: EventKind, trial: str | None, message: str, data: dict[str, Any]) -> bool:
        """Is it news? Then it counts as said from now on."""
        self._resumes += kind == "job.resumed"
        key = self._key(kind, trial, message, data)
        if key is None:
            return True
        new = key not in self._keys
        self._keys.add(key)
        return new

    def _key(self, kind: EventKind, trial: str | None, message: str, data: dict[str, Any]) -> Hashable:
        """What makes the event the same as another; None: nothing does."""
        match kind:
            case "job.queued" | "trial.started" | "trial.finished":
                return kind, trial
            case "trial.round" | "trial.better":
                return kind, trial, data.get("round")
            case "budget.warning":
                return kind, trial, data.get("limit"), data.get("share")
            case "job.started":
                return kind, self._resumes
            case "trial.failed" | "job.phase":
                return kind, trial, message, self._resumes
            case _:
                return None


class EventLog:
    """The events of one job. `put` writes entries durably, and is called in a thread."""

    def __init__(self, events: Sequence[Event], put: Put, told: Callable[[], None] = lambda: None) -> None:
        """`events`: those that stand there, all of them; `told` is called whenever there are more."""
        self._put = put
        self._told = told
        self._pending: list[Event] = []
        self._committing: asyncio.Task[None] | None = None
        self.remember(events)

    @property
    def last_id(self) -> int:
        """Of the durable ones."""
        return self._forgotten + len(self.events)

    def since(self, after: int) -> list[Event] | None:
        """Those with ids above `after`; None where some of them are on storage only."""
        return self.events[after - self._forgotten :] if after >= self._forgotten else None

    def remember(self, events: Sequence[Event]) -> None:
        """All that stand on storage, before more are added."""
        self.events = list(events)
        """Durable ones, behind those that were forgotten."""
        self._forgotten = 0
        self._said = Said(events)
        self._next = len(events) + 1

    def forget(self, last_id: int) -> None:
        """Leaves the events to the storage, as those of a job that is over: `remember` them before more are added."""
        self.events, self._forgotten, self._said = [], last_id, Said()

    @property
    def forgotten(self) -> bool:
        return self._forgotten > 0

    def add(self, kind: EventKind, message: str, trial: str | None = None, data: dict[str, Any] | None = None) -> bool:
        """Takes an event that is news, and says whether it was; it is there for others when it is durable."""
        if not self._said.add(kind, trial, message, data or {}):
            return False
        self._pending.append(
            Event(id=self._next, created_at=int(time.time()), kind=kind, trial=trial, message=message, data=data or {}))
        self._next += 1
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())
        return True

    async def durable(self) -> None:
        """Returns when all that was added is on storage."""
        while self._committing and not self._committing.done():
            await asyncio.wait([self._committing])

    async def _commit(self) -> None:
        """Group commit: while one group is being written, the next one gathers."""
        while self._pending:
            group, self._pending = self._pending, []
            while not await self._written(group):
                await asyncio.sleep(AGAIN_S)
            self.events.extend(group)
            self._told()

    async def _written(self, group: Sequence[Event]) -> bool:
        """A storage that is away for a while is no fault: nobody has seen these events yet."""
        try:
            await asyncio.to_thread(self._put, [event.model_dump(mode="json") for event in group])
        except StorageError:
            return False
        return True
