"""The events of a job: numbered from 1, and stored before anybody sees them.

An event is published once, however often the run that causes it is repeated. Knows the storage as a
function that writes entries, and no job. For one event loop.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from cluster.service.schemas import Event, EventKind
from optimizer.errors import PromptrayError, StorageError
from serving.runtime.supervision import Supervisor, describe

ATTEMPTS = 5
"""Number of attempts to write events after a fault that is not the storage being unreachable; that
one is retried without end [ours].
"""
WriteEntries = Callable[[list[dict[str, Any]]], None]


class PublishedEvents:
    """The events that a job has published, so that a repeated run does not publish them again.

    After a `job.resumed` a trial may fail again, and the job starts again; a round, or a trial that
    has finished, keeps its one event.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        """Note the events that are on storage already."""
        self._keys: set[Hashable] = set()
        self._resumes = 0
        for event in events:
            self.add(event.kind, event.trial, event.message, event.data)

    def add(self, kind: EventKind, trial: str | None, message: str, data: dict[str, Any]) -> bool:
        """Note an event, and return whether it is a new one."""
        # Counted before the key is made: the resuming itself belongs to the new part.
        self._resumes += kind == "job.resumed"
        key = self._key(kind, trial, message, data)
        # Every event of such a kind is new, so nothing has to be remembered of it.
        if key is None:
            return True
        new = key not in self._keys
        self._keys.add(key)
        return new

    def _key(
        self, kind: EventKind, trial: str | None, message: str, data: dict[str, Any]
    ) -> Hashable:
        """Return what identifies the event among others; None if every one is new."""
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
    """The events of one job, written in groups in the background."""

    def __init__(
        self,
        events: Sequence[Event],
        write: WriteEntries,
        on_change: Callable[[], None] = lambda: None,
        tasks: Supervisor | None = None,
        name: str = "the events of a job",
    ) -> None:
        """Start with the events that are on storage.

        Args:
            events: All events on storage.
            write: Writes entries durably; called in a thread, and with the same entries again after
                a fault, until they are there: none is skipped.
            on_change: Called whenever there are more events.
            tasks: Supervises the writing; None: a supervisor of its own.
            name: The name of the writing among the supervised tasks.
        """
        self._write = write
        self._on_change = on_change
        self._tasks = tasks or Supervisor("the service")
        self._name = name
        self._pending: list[Event] = []
        self._committing: asyncio.Task[None] | None = None
        self.remember(events)

    @property
    def last_id(self) -> int:
        """Return the id of the last durable event."""
        return self._forgotten + len(self.events)

    def since(self, after: int) -> list[Event] | None:
        """Return the events with ids above `after`; None if some of them are only on storage."""
        return self.events[after - self._forgotten :] if after >= self._forgotten else None

    def remember(self, events: Sequence[Event]) -> None:
        """Take over all events that are on storage, before more are added."""
        self.events = list(events)
        """The durable events after the forgotten ones."""
        self._forgotten = 0
        self._published = PublishedEvents(events)
        self._next = len(events) + 1
        self._failures = 0
        self.broken = ""
        """The reason why events cannot be written any more; empty while they can."""

    def forget(self, last_id: int) -> None:
        """Keep no event in memory, for a job that is over.

        Call `remember` before more are added.
        """
        self.events, self._forgotten, self._published = [], last_id, PublishedEvents()

    @property
    def forgotten(self) -> bool:
        """Return whether the events are only on storage."""
        return self._forgotten > 0

    def add(
        self,
        kind: EventKind,
        message: str,
        trial: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> bool:
        """Add an event unless it was published before; others see it once it is durable.

        Args:
            kind: The kind of the event.
            message: One sentence for people.
            trial: The trial that it is about, if it is about one.
            data: The fields of the event; see schemas.Event.

        Returns:
            Whether the event is a new one.
        """
        # An event behind one that cannot be written would leave a gap in the ids.
        if self.broken or not self._published.add(kind, trial, message, data or {}):
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
        # The id is given now and not when it is written: the order is that of `add`.
        self._next += 1
        if self._committing is None or self._committing.done():
            self._committing = self._tasks.until_done(self._name, self._commit)
        return True

    @property
    def pending(self) -> bool:
        """Return whether there are events that are not on storage yet."""
        return bool(self._pending)

    async def durable(self) -> None:
        """Wait until all events that were added are on storage.

        Raises:
            LogBroken: They cannot be written, now or later.
        """
        # The task may have been replaced by another while this one was waited for.
        while self._committing and not self._committing.done():
            await asyncio.wait([self._committing])
        if self.broken:
            raise LogBroken(f"The events of the job cannot be written ({self.broken}).")

    async def _commit(self) -> None:
        """Write the pending events in groups: while one is being written, the next one gathers.

        Events leave the queue only when they are on storage. A StorageError counts as no failed
        attempt: nobody has seen these events yet, so they can wait.
        """
        while self._pending:
            # A copy: events that are added during the write are of the next group.
            group = list(self._pending)
            try:
                entries = [event.model_dump(mode="json") for event in group]
                await self._tasks.finish(asyncio.to_thread(self._write, entries))
            # The supervisor repeats it without end: an unreachable storage comes back.
            except StorageError:
                raise
            except Exception as problem:
                self._failures += 1
                if self._failures < ATTEMPTS:
                    raise
                self._tasks.report(self._name, problem)
                self.broken = describe(problem)
                # They were seen by nobody, so they can be dropped without a gap for any reader.
                self._pending.clear()
                self._on_change()
                return
            self._failures = 0
            # After the write: a crash before this line writes the same entries again, under the
            # same ids.
            del self._pending[: len(group)]
            self.events.extend(group)
            self._on_change()
