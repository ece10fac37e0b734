"""Reads and writes the service's state, on any file system. Knows the layout, and not what runs.

    STORAGE/
      optimizations/index/     a line for each job, in the order in which they were filed (see
                               serving.storage.journal): what counts as filed; NAME.damaged: a file
                               of an index that had to be made again from the folders of the jobs
      optimizations/ID/        of a job of any kind; request.json: what was filed; state.json: how
                               it stands; events/: a line for each event; results/
      usage/YYYY-MM-DD.json    owner -> calls and money of that day (UTC), as reported by jobs
      usage/YYYY-MM-DD/        what was given out to each owner, see
                               cluster/service/access/owner_budgets.py
      usage/limits.json        owner -> the quota that was last set
      estimates/HASH/          results folders of probes, whose answers a job of an equal request
                               starts with
      files/ID/                file.json and data.EXT (written by data_files.py)

The one writer of jobs holds `optimizations` by the ledger's lock, or its lease.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from cluster.service.core.job_record import Filed, State
from cluster.service.schemas import EVALUATION_ID, Event
from optimizer.errors import DataError
from serving.storage import Folder, open_folder
from serving.storage.journal import Journal, entries
from serving.storage.text import storable_bytes

JOBS = "optimizations"
REQUEST_FILE = "request.json"
STATE_FILE = "state.json"
EVENTS = "events"
LIMITS_FILE = "limits.json"
_IDS = ("opt-", EVALUATION_ID)
"""How the ids of jobs begin."""


@dataclass(frozen=True)
class Store:
    """The service's folder; small and picklable.

    Its methods raise StorageError if the storage does not answer, and DataError if a file holds
    something else than was written there.
    """

    place: str

    @property
    def root(self) -> Folder:
        """Return the folder itself."""
        return open_folder(self.place).absolute()

    @property
    def jobs(self) -> Folder:
        """Return the folder of all jobs."""
        return self.root / JOBS

    def job(self, id: str) -> Folder:
        """Return the folder of a job."""
        return self.jobs / id

    def results(self, id: str) -> Folder:
        """Return the results folder of a job."""
        return self.job(id) / "results"

    def estimate(self, digest: str) -> Folder:
        """Return the results folder of a probe."""
        return self.root / "estimates" / digest

    def file(self, id: str) -> Folder:
        """Return the folder of an uploaded file."""
        return self.root / "files" / id

    @property
    def index(self) -> Folder:
        """Return the folder of the journal of jobs."""
        return self.jobs / "index"

    def filed_ids(self) -> list[str]:
        """Return the ids of all jobs in the order in which they were filed."""
        return [str(entry.get("id")) for entry in entries(self.index)]

    def job_folders(self) -> list[str]:
        """Return the ids of all jobs that have a folder, in no order."""
        return [name for name in self.jobs.folders() if name.startswith(_IDS)]

    def plain(self, problem: Exception) -> str:
        """Return an error's message without the storage's address.

        Only the operator may know that.
        """
        place, _, query = self.root.place.partition("?")
        message = str(problem).replace(f"{place.rstrip('/')}/", "")
        return message.replace(f"?{query}", "") if query else message

    def has(self, id: str) -> bool:
        """Return whether a job was filed."""
        return self.job(id).exists(REQUEST_FILE)

    def filed(self, id: str) -> Filed:
        """Read the record of a job.

        Raises:
            DataError: It cannot be read, or is another job's.
        """
        folder = self.job(id)
        try:
            filed = Filed.from_json(_read(folder, REQUEST_FILE))
        except DataError as problem:
            raise DataError(f"{folder.place_of(REQUEST_FILE)}: {problem}") from problem
        if filed.id != id:
            raise DataError(
                f"{folder.place_of(REQUEST_FILE)} is the record of another job; bring it back from "
                "a copy."
            )
        return filed

    def file_request(self, filed: Filed) -> None:
        """Write the record of a job."""
        _write(self.job(filed.id), REQUEST_FILE, filed.to_json())

    def state(self, id: str) -> State:
        """Read the state of a job; one that has none yet is queued.

        Raises:
            DataError: It cannot be read.
        """
        folder = self.job(id)
        if not folder.exists(STATE_FILE):
            if STATE_FILE in folder.folders():
                raise DataError(
                    f"{folder.place_of(STATE_FILE)} is a folder; bring the file back from a copy."
                )
            return State()
        try:
            return State.from_json(_read(folder, STATE_FILE))
        except DataError as problem:
            raise DataError(f"{folder.place_of(STATE_FILE)}: {problem}") from problem

    def save_state(self, id: str, state: dict[str, Any]) -> None:
        """Write the state of a job."""
        _write(self.job(id), STATE_FILE, state)

    def events(self, id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """Read at most `limit` events of a job with ids above `after`.

        Raises:
            DataError: An event cannot be read, or is missing between the others.
        """
        folder = self.job(id) / EVENTS
        try:
            found = [Event.model_validate(entry) for entry in entries(folder, after, limit)]
        except ValidationError as problem:
            raise DataError(
                f"{folder} holds something else than events; bring it back from a copy."
            ) from problem
        if [event.id for event in found] != list(range(after + 1, after + len(found) + 1)):
            raise DataError(f"{folder} lacks events between others; bring it back from a copy.")
        return found

    def journal(self, id: str) -> Journal:
        """Open the journal of a job's events for writing."""
        return Journal(self.job(id) / EVENTS)

    def usage(self, day: str) -> dict[str, dict[str, float]]:
        """Read the use of a day: owner -> "calls" and "money".

        Raises:
            DataError: It cannot be read.
        """
        folder = self.root / "usage"
        found = _read(folder, f"{day}.json") if folder.exists(f"{day}.json") else {}
        if not all(
            isinstance(used, dict) and all(map(_is_figure, used.values()))
            for used in found.values()
        ):
            raise DataError(
                f"{folder.place_of(f'{day}.json')} holds something else than figures; bring it "
                "back from a copy."
            )
        return found

    def back_up_damaged_usage(self, day: str) -> None:
        """Copy a day's use that cannot be read to another name, before it is written again."""
        folder = self.root / "usage"
        folder.write(f"{day}.json.damaged", folder.read(f"{day}.json"))

    @property
    def usage_folder(self) -> Folder:
        """Return the folder of the use of all days."""
        return self.root / "usage"

    def limits(self) -> dict[str, dict[str, Any]]:
        """Read owner -> the quota that was last set; {} if the file is missing or damaged."""
        with suppress(DataError):
            return (
                _read(self.usage_folder, LIMITS_FILE)
                if self.usage_folder.exists(LIMITS_FILE)
                else {}
            )
        return {}

    def save_limits(self, limits: dict[str, dict[str, Any]]) -> None:
        """Write the quotas of all owners."""
        _write(self.usage_folder, LIMITS_FILE, limits)

    def save_usage(self, day: str, usage: dict[str, dict[str, float]]) -> None:
        """Write the use of a day."""
        _write(self.root / "usage", f"{day}.json", usage)


def _read(folder: Folder, name: str) -> dict[str, Any]:
    data = folder.read(name)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise DataError(
            f"{folder.place_of(name)} is not JSON ({problem}); bring it back from a copy."
        ) from problem
    if not isinstance(found, dict):
        raise DataError(
            f"{folder.place_of(name)} holds something else than was written there; bring it back "
            "from a copy."
        )
    return found


def _is_figure(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    )


def _write(folder: Folder, name: str, data: dict[str, Any]) -> None:
    folder.write(name, storable_bytes(json.dumps(data, indent=1) + "\n"))
