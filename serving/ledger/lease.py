"""A lease: one writer on a store without locks.

It is a file that names the owner, and that the owner rewrites every few seconds. No clock is
compared with another machine's. An owner is dead when an opener has itself seen its file unchanged
for STALE_S, by its own clock; so an owner that has had no beat through for less than that still has
the folder, and one for which that time is over checks, before it writes, whether the folder is
another's by now. A conditional write would do in one step what takes an opener two (write, then
check whether it stands): pyarrow.fs offers none (README.md). An opener that was slow between
its check and its write therefore waits until a living owner must have beaten, before it relies on
its own file.

What that cannot guarantee: an owner that stops in the very moment between its check and its write
makes that one write late. Even then nothing is torn or lost, since every writer has segments of its
own; what may happen is that an answer is paid for twice.
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

from optimizer.errors import StorageError
from serving.ledger.ownership import holder, refusal, until
from serving.storage import Folder

LEASE_FILE = ".lease"
BEAT_S = 4.0
"""Seconds between two beats of the owner [ours]."""
STALE_S = 14.0
"""An owner whose file was seen unchanged for so many seconds counts as dead [ours]."""
UNSURE_S = 7.0
"""An owner whose last beat is so many seconds old checks its file before it writes [ours]. It
has the folder for as long again.
"""
SETTLE_S = 0.3
"""Seconds after which an opener checks whether another has overwritten its lease [ours]."""
SLOW_SETTLE_S = 1.5 * BEAT_S
"""The same, where its own write took so long that another may have settled meanwhile: that one
has beaten by then [ours].
"""


def _awake() -> float:
    """Return the seconds on a clock that goes on while the machine sleeps, where there is one."""
    return (
        time.clock_gettime(time.CLOCK_BOOTTIME)
        if hasattr(time, "CLOCK_BOOTTIME")
        else time.monotonic()
    )


@dataclass(frozen=True)
class Clock:
    """The clocks, for tests to replace."""

    monotonic: Callable[[], float] = _awake
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Lease:
    """A folder reserved by a file in it.

    Raises:
        StorageError: If the folder is not free in time.
    """

    def __init__(
        self, folder: Folder, wait_s: float, clock: Clock = Clock(), beating: bool = True
    ) -> None:
        self._file = _LeaseFile(folder, clock)
        self._watch = _Watch(clock)
        # Two tries a second: an owner that has released its file should not be waited for.
        if not until(self._acquire, wait_s, 0.5, clock.monotonic, clock.sleep):
            raise refusal(folder, self._file.read())
        over = threading.Event()
        # The thread knows the file and not the lease, which may so be forgotten.
        self._end = weakref.finalize(self, _end, self._file, over)
        if beating:
            # A daemon: a process that ends without releasing must not be held up by its own beats.
            threading.Thread(
                target=_beat, args=(self._file, over), daemon=True, name="ledger lease"
            ).start()

    def check(self) -> None:
        """Check that the folder is still this writer's.

        It reads the file where the last beat is old.

        Raises:
            StorageError: If it is another's by now, or may be.
        """
        self._file.make_sure()
        if self._file.lost:
            raise refusal(self._file.folder, self._file.read())

    def release(self) -> None:
        """Release the folder."""
        self._end()

    def beat(self) -> None:
        """Renew the lease, and notice when another has taken over.

        A store that is unreachable for a while is no error.
        """
        self._file.beat()

    def _acquire(self) -> bool:
        looked_at = self._file.now()
        # The time is taken before the file is read: a slow read counts as a slow check.
        return self._watch.dead(self._file.read()) and self._file.claim(looked_at)


class _Watch:
    """Judges whether the owner of a lease is dead, by changes of the file.

    It uses its own clock alone.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: bytes | None = None
        self._seen_at = 0.0

    def dead(self, content: bytes) -> bool:
        if not content:
            return True
        # The bytes alone decide: neither clock of the other machine is compared with ours.
        if content != self._seen:
            self._seen, self._seen_at = content, self._clock.monotonic()
        return self._clock.monotonic() - self._seen_at >= STALE_S


class _LeaseFile:
    def __init__(self, folder: Folder, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._holder = holder(datetime.fromtimestamp(clock.wall(), UTC))
        self._writing = threading.Lock()
        self.lost = False
        self._over = False
        self._beats = 0
        self._beaten_at = 0.0
        """Time at which the last successful write began: nobody takes over the folder within
        STALE_S of it.
        """

    def now(self) -> float:
        return self._clock.monotonic()

    def read(self) -> bytes:
        """Return the content, b"" where there is no file."""
        try:
            return self.folder.read(LEASE_FILE)
        except StorageError:
            # A store that does not answer must not pass for a free folder.
            if self.folder.exists(LEASE_FILE):
                raise
            return b""

    def claim(self, looked_at: float) -> bool:
        """Write the file, and return whether that stands.

        `looked_at`: the start of the check whether it may be written.
        """
        self._write()
        # Another opener may have written in the same moment: the last write stands, and after this
        # pause both read the same file.
        self._clock.sleep(SETTLE_S if self.now() - looked_at < SETTLE_S / 2 else SLOW_SETTLE_S)
        return self._is_ours()

    def beat(self) -> None:
        with self._writing, suppress(StorageError):
            self._beat()

    def make_sure(self) -> None:
        """Check that the folder is still this writer's, where the last beat is old.

        Raises:
            StorageError: If the beat is too old to rely on, and the store cannot be reached.
        """
        with self._writing:
            age_s = self.now() - self._beaten_at
            # Young enough: nobody can have seen this file unchanged for STALE_S.
            if age_s < UNSURE_S or self.lost or self._over:
                return
            try:
                self._beat()
            except StorageError:
                # Between the two ages nobody can have taken over yet, so the store may be away for
                # a while.
                if age_s >= STALE_S:
                    raise

    def _beat(self) -> None:
        if self._over:
            return
        looked_at = self.now()
        lapsed = looked_at - self._beaten_at >= STALE_S
        content = self.read()
        # Where there is no file, somebody may have taken the folder and given it back, if there was
        # time for that.
        # A file of somebody else is final: its owner has seen ours unchanged for STALE_S.
        self.lost = _owner_of(content) != self._owner if content else lapsed
        if not self.lost:
            if lapsed:
                # A plain write could overwrite an opener that is just claiming: it has to be
                # checked that it stands.
                self._claim_again(looked_at)
            else:
                self._write()

    def _claim_again(self, looked_at: float) -> None:
        before = self._beaten_at
        try:
            self.lost = not self.claim(looked_at)
        except StorageError:
            # A write without a check proves nothing yet.
            self._beaten_at = before
            raise

    def release(self) -> None:
        with self._writing, suppress(StorageError):
            self._over = True
            # Deleting the file of a successor would free a folder that is in use.
            if self._is_ours():
                self.folder.delete(LEASE_FILE)

    def _is_ours(self) -> bool:
        return _owner_of(self.read()) == self._owner

    def _write(self) -> None:
        began, self._beats = self.now(), self._beats + 1
        # Another process judges by the file's bytes alone: each beat changes them, whatever the
        # clock on the wall does.
        content = self._holder | {
            "owner": self._owner,
            "beat": self._clock.wall(),
            "beats": self._beats,
        }
        self.folder.write(LEASE_FILE, json.dumps(content).encode())
        # The start of the write, not its end: on a slow store others may have seen the file since
        # then.
        self._beaten_at = began


def _beat(file: _LeaseFile, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        file.beat()


def _end(file: _LeaseFile, over: threading.Event) -> None:
    # Before the file is deleted: a beat that comes later would write it again.
    over.set()
    file.release()


def _owner_of(content: bytes) -> str:
    try:
        known = json.loads(content)
    except ValueError:
        return ""
    return str(known.get("owner", "")) if isinstance(known, dict) else ""
