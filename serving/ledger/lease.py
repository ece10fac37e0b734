"""One writer on a store, which has no locks: a file that names the owner, and that the owner writes anew every few seconds.

What it cannot guarantee: a store lets two openers write the file at nearly the same moment, and an owner that is only slow (a
machine that sleeps, a network that is away) can be taken for dead. Each looks again before it relies on the file, so that both
hold it for seconds at most; the one that was passed over says so at its next write. Even then nothing is torn or lost, since every
writer has segments of its own; what may happen is that an answer is paid for twice.
"""

import json
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from optimizer.errors import StorageError
from serving.ledger.lock import holder, refusal, until
from serving.storage import Folder

LEASE_FILE = ".lease"
BEAT_S = 4.0
"""[ours] How often the owner says that it lives."""
STALE_S = 14.0
"""[ours] An owner that was not heard of for this long is taken for dead."""
LONG_STALE_S = 300.0
"""[ours] By the clocks of two machines, which need not agree: a lease as old as this is taken without watching it first."""
SETTLE_S = 0.3
"""[ours] After this an opener looks whether another has written over its lease."""


@dataclass(frozen=True)
class Clock:
    """Time, for tests to turn."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Lease:
    """The folder is taken by a file in it. Raises StorageError where it is not free in time."""

    def __init__(self, folder: Folder, wait_s: float, clock: Clock = Clock(), beating: bool = True) -> None:
        self._file = _LeaseFile(folder, clock)
        self._watch = _Watch(clock)
        if not until(self._take, wait_s, 0.5, clock.monotonic, clock.sleep):
            raise refusal(folder, self._file.read())
        over = threading.Event()
        # The thread knows the file and not the lease, which may so be forgotten.
        self._end = weakref.finalize(self, _end, self._file, over)
        if beating:
            threading.Thread(target=_beat, args=(self._file, over), daemon=True, name="ledger lease").start()

    def check(self) -> None:
        if self._file.lost:
            raise refusal(self._file.folder, self._file.read())

    def release(self) -> None:
        self._end()

    def beat(self) -> None:
        """Says that the owner lives, and notices when another has taken over. A store that is away for a while is no fault."""
        self._file.beat()

    def _take(self) -> bool:
        return self._watch.dead(self._file.read()) and self._file.claim()


class _Watch:
    """Judges whether the owner of a lease is dead, by what it sees of the file."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: bytes | None = None
        self._seen_at = 0.0

    def dead(self, said: bytes) -> bool:
        if not said:
            return True
        if said != self._seen:
            self._seen, self._seen_at = said, self._clock.monotonic()
        return self._clock.monotonic() - self._seen_at >= STALE_S or self._clock.wall() - _beat_of(said) >= LONG_STALE_S


class _LeaseFile:
    def __init__(self, folder: Folder, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._holder = holder(datetime.fromtimestamp(clock.wall(), UTC))
        self._writing = threading.Lock()
        self.lost = False
        self._over = False

    def read(self) -> bytes:
        """b"" where there is none."""
        try:
            return self.folder.read(LEASE_FILE)
        except StorageError:
            if self.folder.exists(LEASE_FILE):
                raise
            return b""

    def claim(self) -> bool:
        self._write()
        self._clock.sleep(SETTLE_S)
        return self._is_ours()

    def beat(self) -> None:
        with self._writing, suppress(StorageError):
            if self._over:
                return
            said = self.read()
            self.lost = bool(said) and _owner_of(said) != self._owner
            if not self.lost:
                self._write()

    def give_back(self) -> None:
        with self._writing, suppress(StorageError):
            self._over = True
            if self._is_ours():
                self.folder.delete(LEASE_FILE)

    def _is_ours(self) -> bool:
        return _owner_of(self.read()) == self._owner

    def _write(self) -> None:
        self.folder.write(LEASE_FILE, json.dumps(self._holder | {"owner": self._owner, "beat": self._clock.wall()}).encode())


def _beat(file: _LeaseFile, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        file.beat()


def _end(file: _LeaseFile, over: threading.Event) -> None:
    over.set()
    file.give_back()


def _owner_of(said: bytes) -> str:
    return str(_known(said).get("owner", ""))


def _beat_of(said: bytes) -> float:
    beat = _known(said).get("beat")
    return float(beat) if isinstance(beat, int | float) else 0.0


def _known(said: bytes) -> dict[str, Any]:
    try:
        known = json.loads(said)
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
