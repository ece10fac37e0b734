"""Writes the events of one job to its journal on storage. Blocks: it is called in a thread."""

from collections.abc import Callable
from typing import Any

from cluster.service.stores.job_store import Store
from optimizer.errors import DataError
from serving.storage.journal import Journal


class EventWriter:
    """The journal of a job, opened at the first event."""

    def __init__(self, store: Store, expect_held: Callable[[], None], job: str) -> None:
        """Prepare to write the events of a job.

        Args:
            store: The storage.
            expect_held: Raises StorageError if another process has taken the storage.
            job: The job's id.
        """
        self._store = store
        self._expect_held = expect_held
        self._job = job
        self._journal: Journal | None = None

    def write(self, entries: list[dict[str, Any]]) -> None:
        """Append events durably; those that are on storage already are left out.

        Args:
            entries: Events as JSON, with ids that follow each other.

        Raises:
            StorageError: The storage does not answer, or another process has taken it.
            DataError: Events before these are missing on storage.
        """
        self._expect_held()
        journal = self._journal = self._journal or self._store.journal(self._job)
        stored = len(journal)
        new = [entry for entry in entries if entry["id"] > stored]
        if new and new[0]["id"] != stored + 1:
            raise DataError(
                f"The storage has {stored} events of the job {self._job}, and event "
                f"{new[0]['id']} is next; bring them back from a copy."
            )
        try:
            journal.append(new)
        except BaseException:
            self._journal = None  # what is on storage now is unknown: read it again next time
            raise
