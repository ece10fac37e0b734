"""The index of jobs in the order in which they were filed: a journal with a line for each job.

It is made again from the jobs' folders if it is lost or damaged. Knows the storage, and of a job
only what its line says. Only the process that holds the storage uses it.
"""

import json
from collections.abc import Callable
from typing import Any

from cluster.service.core.job_record import Filed
from cluster.service.stores.job_store import EVENTS, STATE_FILE, Store
from optimizer.errors import DataError, PromptrayError
from serving.storage.journal import Journal


class Index:
    """The index of a store."""

    def __init__(self, store: Store, note: Callable[[str], None]) -> None:
        """Read the index, and repair it where lines are missing or damaged.

        Args:
            store: The storage.
            note: Called with a sentence for whatever had to be repaired.

        Raises:
            StorageError: The storage does not answer.
        """
        self._store = store
        self._note = note
        try:
            self._journal = Journal(store.index)
            entries = self._journal.entries()
            if not all(isinstance(entry.get("id"), str) for entry in entries):
                raise DataError(f"{store.index} has lines that name no job.")
        except DataError as problem:
            entries = self._rebuild(problem)
        self._entry_by_id: dict[str, dict[str, Any]] = {}
        for entry in entries:
            # setdefault: the first line of a job has its place in the order, should it be there
            # twice.
            self._entry_by_id.setdefault(entry["id"], entry)
        self._add_forgotten(whole=not entries)

    def __len__(self) -> int:
        return len(self._entry_by_id)

    @property
    def ids(self) -> list[str]:
        """Return the ids of all jobs, the oldest first."""
        return list(self._entry_by_id)

    def of(self, id: str) -> tuple[int, dict[str, Any]]:
        """Return the number of a job, and what its line says."""
        return self.ids.index(id) + 1, self._entry_by_id[id]

    def add(self, filed: Filed) -> None:
        """Add a job whose record is in its folder."""
        self._append([_entry(filed)])

    def _append(self, entries: list[dict[str, Any]]) -> None:
        self._journal.append(entries)
        self._entry_by_id |= {entry["id"]: entry for entry in entries}

    def _rebuild(self, problem: DataError) -> list[dict[str, Any]]:
        """Return what can be read of a damaged journal, and write it to a new one.

        The damaged files are kept under other names.
        """
        folder, found = self._store.index, list[dict[str, Any]]()
        data_by_name = {name: folder.read(name) for name in folder.names(".jsonl")}
        for name, data in data_by_name.items():
            found += [entry for entry in map(_read, data.splitlines()) if entry]
            # The copy first: a crash here must lose no byte of the list.
            folder.write(f"{name}.damaged", data)
        # From the end: what stays after a crash is a beginning, which reads as a whole journal.
        for name in reversed(data_by_name):
            folder.delete(name)
        self._journal = Journal(folder)
        self._journal.append(found)
        self._note(
            "The list of jobs was damaged and was made again from the jobs' folders: "
            f"{self._store.plain(problem)}"
        )
        return found

    def _add_forgotten(self, whole: bool) -> None:
        """Add jobs that were started and have no line.

        A job with only a record was never acknowledged, and is left out. If there is no line at all
        that cannot be known, and all are added.
        """
        lost = [
            id
            for id in self._store.job_folders()
            if id not in self._entry_by_id and (whole or self._was_begun(id))
        ]
        if lost:
            entries = sorted(
                map(self._entry_of, lost), key=lambda entry: (entry.get("number", 0), entry["id"])
            )
            self._append(
                [
                    {key: value for key, value in entry.items() if key != "number"}
                    for entry in entries
                ]
            )
            self._note(
                f"The list of jobs lacked {len(lost)} jobs whose folders are there; they were "
                "added to it."
            )

    def _was_begun(self, id: str) -> bool:
        folder = self._store.job(id)
        # Either may be the first that a crash let through.
        return folder.exists(STATE_FILE) or EVENTS in folder.folders()

    def _entry_of(self, id: str) -> dict[str, Any]:
        try:
            filed = self._store.filed(id)
        except PromptrayError:  # the job table will mark it as damaged, with the reason
            return {"id": id}
        return {**_entry(filed), "number": filed.number}


def _entry(filed: Filed) -> dict[str, Any]:
    """Return the line of a job: its id, and what is shown if its record is damaged."""
    return {
        "id": filed.id,
        "owner": filed.owner,
        "name": filed.request.name,
        "created_at": filed.created_at,
    }


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("id"), str) else None
