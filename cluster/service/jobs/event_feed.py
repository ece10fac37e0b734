"""New events of several jobs at once, for whoever polls the controller. For one event loop."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

from cluster.service.core.errors import Damaged
from cluster.service.jobs.event_log import LogBroken
from cluster.service.jobs.job_table import JobTable
from cluster.service.schemas import Event
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, PromptrayError
from serving.runtime.wakeup import Wakeup


class EventFeed:
    """The events of all jobs of a storage, with a wait for those that are to come."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = Wakeup()

    def notify(self) -> None:
        """Wake all who wait: some job has new events."""
        self._changed.wake()

    async def wait(
        self, job_table: JobTable, after_by_job: Mapping[str, int], timeout_s: float
    ) -> dict[str, list[Event] | PromptrayError]:
        """Return the events of some jobs that are not known yet, as soon as there are any.

        Args:
            job_table: The jobs.
            after_by_job: Job -> the id of the last event of it that is known.
            timeout_s: How long to wait for an event.

        Returns:
            Job -> its new events, or the error for which it will never have any; {} if nothing has
            happened in time.
        """
        ends_at = time.monotonic() + timeout_s
        while True:
            # Taken before the events are read: one that is added meanwhile sets this very flag.
            changed = self._changed.next
            found = {
                job: events
                for job, after in after_by_job.items()
                if (events := await self._since(job_table, job, after))
            }
            left_s = ends_at - time.monotonic()
            if found or left_s <= 0:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await changed.wait()

    async def stored_events(self, id: str, after: int = 0) -> list[Event]:
        """Read the events of a job from storage.

        Raises:
            Damaged: They cannot be read.
            StorageError: The storage does not answer.
        """
        try:
            return await asyncio.to_thread(self._store.events, id, after)
        except DataError as problem:
            raise Damaged(
                f"The events of this job are damaged: {self._store.plain(problem)}"
            ) from problem

    async def _since(
        self, job_table: JobTable, job: str, after: int
    ) -> list[Event] | PromptrayError:
        machine = job_table.machines.get(job)
        if machine is None:
            damaged = job_table.damaged.get(job)
            return Damaged(damaged.reason) if damaged else []
        log = machine.log
        if log.last_id <= after:
            if log.broken:
                return LogBroken(f"The events of this job cannot be written ({log.broken}).")
            return []
        in_memory = log.since(after)
        if in_memory is not None:
            return in_memory
        try:
            return await self.stored_events(job, after)
        except PromptrayError as problem:
            return problem
