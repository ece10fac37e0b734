"""Where the service's state stands, on any file system. Knows the layout, and nothing of what runs.

    STORAGE/
      optimizations/index/     a line a job, in the order in which they came (see serving.storage.journal): what counts as filed
      optimizations/ID/        request.json: what was filed; state.json: how it stands; events/: a line an event; results/
      usage/YYYY-MM-DD.json    owner -> calls and money of that day (UTC)
      estimates/HASH/          results folders of probes, whose answers a job that is like it begins with
      files/ID/                file.json and data.EXT (written by whoever takes uploads)

The one writer of jobs holds `optimizations` by the ledger's lock, or its lease.
"""

import json
from dataclasses import dataclass
from typing import Any

from cluster.service.job import Filed, State
from cluster.service.objects import Event
from optimizer.errors import DataError
from serving.storage import Folder, open_folder
from serving.storage.journal import Journal, entries

JOBS = "optimizations"
REQUEST_FILE = "request.json"
STATE_FILE = "state.json"
EVENTS = "events"


@dataclass(frozen=True)
class Store:
    """The service's folder. Small and picklable. Raises StorageError where the storage does not let it, DataError where it holds
    something else."""

    place: str

    @property
    def root(self) -> Folder:
        return open_folder(self.place).absolute()

    @property
    def jobs(self) -> Folder:
        return self.root / JOBS

    def job(self, id: str) -> Folder:
        return self.jobs / id

    def results(self, id: str) -> Folder:
        return self.job(id) / "results"

    def estimate(self, digest: str) -> Folder:
        return self.root / "estimates" / digest

    def file(self, id: str) -> Folder:
        return self.root / "files" / id

    def index(self) -> Journal:
        return Journal(self.jobs / "index")

    def filed_ids(self) -> list[str]:
        """In the order in which they came."""
        return [str(entry["id"]) for entry in entries(self.jobs / "index")]

    def has(self, id: str) -> bool:
        return self.job(id).exists(REQUEST_FILE)

    def filed(self, id: str) -> Filed:
        return Filed.from_json(_read(self.job(id), REQUEST_FILE))

    def file_request(self, filed: Filed) -> None:
        _write(self.job(filed.id), REQUEST_FILE, filed.to_json())

    def state(self, id: str) -> State:
        """That of a job of which nothing is known but its request: it waits."""
        folder = self.job(id)
        return State.from_json(_read(folder, STATE_FILE)) if folder.exists(STATE_FILE) else State()

    def save_state(self, id: str, state: dict[str, Any]) -> None:
        _write(self.job(id), STATE_FILE, state)

    def events(self, id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """Those with ids above `after`."""
        return [Event.model_validate(entry) for entry in entries(self.job(id) / EVENTS, after, limit)]

    def journal(self, id: str) -> Journal:
        return Journal(self.job(id) / EVENTS)

    def usage(self, day: str) -> dict[str, dict[str, float]]:
        """Owner -> "calls" and "money"."""
        folder = self.root / "usage"
        return _read(folder, f"{day}.json") if folder.exists(f"{day}.json") else {}

    def save_usage(self, day: str, usage: dict[str, dict[str, float]]) -> None:
        _write(self.root / "usage", f"{day}.json", usage)


def _read(folder: Folder, name: str) -> dict[str, Any]:
    try:
        found = json.loads(folder.read(name))
    except ValueError as problem:
        raise DataError(f"{folder.place_of(name)} is not JSON ({problem}); bring it back from a copy.") from problem
    if not isinstance(found, dict):
        raise DataError(f"{folder.place_of(name)} holds something else than was written there; bring it back from a copy.")
    return found


def _write(folder: Folder, name: str, data: dict[str, Any]) -> None:
    folder.write(name, (json.dumps(data, indent=1) + "\n").encode("utf-8", "backslashreplace"))
