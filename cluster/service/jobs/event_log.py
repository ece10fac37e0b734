"""A job's events: numbered from 1, on storage before anyone sees them, and each said once, however
often the run is repeated.

Knows the storage as a place to put entries, and no job. For one event loop.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from cluster.service.schemas import Event, EventKind
from optimizer.errors import PromptrayError, StorageError
from serving.runtime.supervision import Supervisor, told

ATTEMPTS = 5
"""To write events, where the fault is another one than that the storage is away: that is waited for
without end [ours].
"""
Put = Callable[[list[dict[str, Any]]], None]


class Said:
    """Which events a job has said, so that a repeated run does not say them again.

    After a `job.resumed` a trial may fail anew, and
    the job starts anew; a round, or a trial that has finished, stays what it was.
    """

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

    def _key(
        self, kind: EventKind, trial: str | None, message: str, data: dict[str, Any]
    ) -> Hashable:
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


class LogBroken(PromptrayError):
    """The events of a job cannot be written, and waiting does not help."""


class EventLog:
    """The events of one job.

    `put` writes entries durably, and is called in a thread; it is given the same entries again
    after a
    fault, until they are there: none is passed over.
    """

    def __init__(
        self,
        events: Sequence[Event],
        put: Put,
        told: Callable[[], None] = lambda: None,
        tasks: Supervisor | None = None,
        name: str = "the events of a job",
    ) -> None:
        """`events`: those that stand there, all of them; `told` is called whenever there are more.

        `tasks` sees to the writing,
        under `name`.
        """
        self._put = put
        self._told = told
        self._tasks = tasks or Supervisor("the service")
        self._name = name
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
        self._failures = 0
        self.broken = ""
        """Why events cannot be written any more; "" while they can, or may soon."""

    def forget(self, last_id: int) -> None:
        """Leaves the events to the storage, as those of a job that is over: `remember` them before
        more are added.
        """
        self.events, self._forgotten, self._said = [], last_id, Said()

    @property
    def forgotten(self) -> bool:
        return self._forgotten > 0

    def add(
        self,
        kind: EventKind,
        message: str,
        trial: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> bool:
        """Takes an event that is news, and says whether it was; it is there for others when it is
        durable.
        """
        if self.broken or not self._said.add(kind, trial, message, data or {}):
            return False
        self._pending.append(
            Event(
                id=self._next,
                created_at=int(time.time()),
                kind=kind,
                trial=trial,
                message=message,
                data=data or {},
            )
        )
        self._next += 1
        if self._committing is None or self._committing.done():
            self._committing = self._tasks.keep(self._name, self._commit)
        return True

    @property
    def pending(self) -> bool:
        """Are there events that are not on storage yet?"""
        return bool(self._pending)

    async def durable(self) -> None:
        """Returns when all that was added is on storage.

        Raises LogBroken where it will never be.
        """
        while self._committing and not self._committing.done():
            await asyncio.wait([self._committing])
        if self.broken:
            raise LogBroken(f"The events of the job cannot be written ({self.broken}).")

    async def _commit(self) -> None:
        """Group commit: while one group is being written, the next one gathers.

        Events are taken off only when they are there. A
        storage that is away for a while is no fault: nobody has seen these events yet.
        """
        while self._pending:
            group = list(self._pending)
            try:
                await asyncio.to_thread(
                    self._put, [event.model_dump(mode="json") for event in group]
                )
            except StorageError:
                raise
            except Exception as problem:
                self._failures += 1
                if self._failures < ATTEMPTS:
                    raise
                self._tasks.report(self._name, problem)
                self.broken = told(problem)
                self._pending.clear()
                self._told()
                return
            self._failures = 0
            del self._pending[: len(group)]
            self.events.extend(group)
            self._told()
