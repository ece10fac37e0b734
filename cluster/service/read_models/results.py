"""The trials in a results folder, finished and running, each file parsed once.

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
"""Of files whose content is kept in memory, least recently used first to go [ours]."""


@dataclass(frozen=True)
class Course:
    """One trial as far as its folder tells: with a result it has ended."""

    trial: str
    rounds: tuple[Round, ...] = ()
    result: TrialResult | None = None
    digest: bytes = b""
    """Of the bytes that it was read from; b"" for one that was not read."""


class Results:
    """Reads results folders.

    A file is read anew at every call, and parsed only where its bytes are new: so what is said is
    never
    old, whoever wrote it. Safe to use from several threads.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, tuple[int, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def course(self, folder: Folder, trial: str) -> Course:
        """Raises StorageError where a file cannot be read, Damaged where it is none of ours."""
        ended = folder / "trials"
        if ended.exists(f"{trial}.json"):
            digest, result = self._read(ended, f"{trial}.json", _result)
            return Course(trial, result.rounds, result, digest)
        under_way = folder / "rounds" / trial
        found = [self._read(under_way, name, _round) for name in under_way.names(".json")]
        rounds = sorted((round for _, round in found), key=lambda round: round.number)
        left = folder / UNFINISHED
        if not rounds and left.exists(
            f"{trial}.json"
        ):  # of a run by hand, which writes no rounds, that was killed
            digest, result = self._read(left, f"{trial}.json", _result)
            return Course(trial, result.rounds, result, digest)
        return Course(
            trial,
            tuple(rounds),
            None,
            hashlib.sha256(b"".join(digest for digest, _ in found)).digest(),
        )

    def kept(self, key: bytes, make: Callable[[], T], size: int) -> T:
        """What `make` gave for this key before, or gives now; `size` is about what it takes, in
        bytes.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: T = self._kept[key][1]
                return found
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = size, made
                self._bytes += size
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1][0]
        return made

    def _read(self, folder: Folder, name: str, parse: Callable[[Any], T]) -> tuple[bytes, T]:
        data = folder.read(name)
        digest = hashlib.sha256(data).digest()
        return digest, self.kept(digest, lambda: _parsed(folder, name, data, parse), len(data))


def _parsed(folder: Folder, name: str, data: bytes, parse: Callable[[Any], T]) -> T:
    try:
        return parse(json.loads(data))
    except (DataError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        # not where the storage is: that is the operator's
        inside = f"{folder.place.rstrip('/').rpartition('/')[2]}/{name}"
        raise Damaged(
            f"{inside} of this job's results is none of our files, or damaged "
            f"({type(problem).__name__}); bring it back from a "
            "copy."
        ) from problem


def _result(data: Any) -> TrialResult:
    return TrialResult.from_json(data)


def _round(data: Any) -> Round:
    """A file of rounds/ is a round, alone or under `round` beside what the trial had spent."""
    return Round.from_json(data["round"] if "standings" not in data else data)
