"""Reads the trials in a results folder, finished and running ones, and parses each file once.

Knows no HTTP and no job.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from cluster.results.folder import UNFINISHED
from cluster.service.core.errors import Damaged
from cluster.trial.result import TrialResult
from optimizer.candidate import Round
from optimizer.errors import DataError
from serving.storage import Folder

T = TypeVar("T")
MOST_BYTES = 256 * 2**20
"""The size of the files whose content is cached; the least recently used one is dropped first
[ours].
"""


@dataclass(frozen=True)
class TrialHistory:
    """One trial as far as its folder has it; with a result it has ended."""

    trial: str
    rounds: tuple[Round, ...] = ()
    result: TrialResult | None = None
    digest: bytes = b""
    """The digest of the bytes that it was read from; empty if it was not read from any."""


class Results:
    """Reads results folders.

    A file is read at every call, and parsed only if its bytes are new: so the answer is never
    stale, whoever wrote the file. Safe to use from several threads.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Start with an empty cache of at most so many bytes."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._cache: OrderedDict[bytes, tuple[int, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def history(self, folder: Folder, trial: str) -> TrialHistory:
        """Return a trial with its rounds, and its result if it has ended.

        Raises:
            StorageError: A file cannot be read.
            Damaged: A file is none of ours.
        """
        ended = folder / "trials"
        if ended.exists(f"{trial}.json"):
            digest, result = self._read(ended, f"{trial}.json", _result)
            return TrialHistory(trial, result.rounds, result, digest)
        under_way = folder / "rounds" / trial
        found = [self._read(under_way, name, _round) for name in under_way.names(".json")]
        rounds = sorted((round for _, round in found), key=lambda round: round.number)
        left = folder / UNFINISHED
        # A run from the command line writes no rounds; one that was killed leaves this.
        if not rounds and left.exists(f"{trial}.json"):
            digest, result = self._read(left, f"{trial}.json", _result)
            return TrialHistory(trial, result.rounds, result, digest)
        return TrialHistory(
            trial,
            tuple(rounds),
            None,
            hashlib.sha256(b"".join(digest for digest, _ in found)).digest(),
        )

    def cached(self, key: bytes, make: Callable[[], T], size: int) -> T:
        """Return what `make` gave for this key before, or gives now.

        Args:
            key: What identifies the value.
            make: Makes the value.
            size: About how many bytes the value takes.
        """
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                found: T = self._cache[key][1]
                return found
        made = make()
        with self._lock:
            if key not in self._cache:
                self._cache[key] = size, made
                self._bytes += size
            while self._bytes > self._most_bytes and len(self._cache) > 1:
                self._bytes -= self._cache.popitem(last=False)[1][0]
        return made

    def _read(self, folder: Folder, name: str, parse: Callable[[Any], T]) -> tuple[bytes, T]:
        data = folder.read(name)
        digest = hashlib.sha256(data).digest()
        return digest, self.cached(digest, lambda: _parsed(folder, name, data, parse), len(data))


def _parsed(folder: Folder, name: str, data: bytes, parse: Callable[[Any], T]) -> T:
    try:
        return parse(json.loads(data))
    except (DataError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        # Without the path of the storage, which only the operator may know.
        inside = f"{folder.place.rstrip('/').rpartition('/')[2]}/{name}"
        raise Damaged(
            f"{inside} of this job's results is none of our files, or damaged "
            f"({type(problem).__name__}); bring it back from a "
            "copy."
        ) from problem


def _result(data: Any) -> TrialResult:
    return TrialResult.from_json(data)


def _round(data: Any) -> Round:
    """Read a file of rounds/: a round, or one under `round` beside what the trial had spent."""
    return Round.from_json(data["round"] if "standings" not in data else data)
