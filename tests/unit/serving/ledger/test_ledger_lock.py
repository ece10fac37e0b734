"""One writer: the second is refused in a sentence; a dead one holds nobody up, nor does a slow
store.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from optimizer.errors import StorageError
from serving.ledger import Ledger
from serving.ledger.lease import LEASE_FILE, SETTLE_S, STALE_S, Clock, Lease
from serving.ledger.writer_lock import WAIT_S, hold
from serving.storage import open_folder
from tests.contracts.crashing_folder import CrashingFolder, Disk
from tests.contracts.paid import entry

ROOT = Path(__file__).parents[4]
HOLDER = (
    "import sys, time; from serving.ledger import Ledger\n"
    "ledger = Ledger(sys.argv[1]); print('held', flush=True); time.sleep(600)"
)


def test_a_second_writer_is_refused_in_one_sentence(any_place: str) -> None:
    first = Ledger(any_place)
    with pytest.raises(StorageError) as refused:
        Ledger(any_place, wait_s=0.0)
    assert re.fullmatch(
        rf"The ledger .+ is being written to by process {os.getpid()} on "
        rf"{re.escape(socket.gethostname())}, since [\d: -]+ UTC; "
        r"wait until it has ended or stop it, or name another results folder\.",
        str(refused.value),
    )
    first.append(entry(1, "not disturbed"))
    first.close()
    with Ledger(any_place, wait_s=0.0) as second:
        assert len(second) == 1


def test_a_ledger_that_is_forgotten_gives_its_folder_back(any_place: str) -> None:
    ledger = Ledger(any_place)
    ledger.append(entry(1, "a"))
    del ledger
    assert len(Ledger(any_place, wait_s=0.0)) == 1


@pytest.mark.process
def test_a_killed_holder_frees_the_folder_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder, holder.stdout as said:
        assert said.readline() == "held\n"
        with pytest.raises(StorageError, match=f"process {holder.pid} on"):
            Ledger(tmp_path, wait_s=0.2)
        threading.Timer(0.5, os.kill, (holder.pid, signal.SIGKILL)).start()
        Ledger(tmp_path, wait_s=20.0).close()  # waited for


def test_what_a_killed_write_left_beside_the_segments_is_swept(tmp_path: Path) -> None:
    left = tmp_path / ".000001-abcdef01.a.arrows.x1y2z3"
    left.write_bytes(b"half")
    Ledger(tmp_path).close()
    assert not left.exists()


@dataclass
class Time:
    """A clock that is turned by hand, and by whoever sleeps."""

    now: float = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now, self.sleep)


def lease(folder: CrashingFolder, at: Time, wait_s: float = 0.0) -> Lease:
    return Lease(folder, wait_s, at.clock, beating=False)


def test_a_lease_whose_owner_lives_is_not_taken() -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    owner = lease(folder, at)
    beats = Clock(
        lambda: at.now, lambda: at.now, lambda seconds: (at.sleep(seconds), owner.beat())[1]
    )
    with pytest.raises(StorageError, match="being written to by process"):
        Lease(folder, WAIT_S, beats, beating=False)
    owner.check()


def test_a_lease_that_went_stale_is_taken_over_and_its_owner_told() -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    slow = lease(folder, at)
    began = at.now
    taker = lease(folder, at, WAIT_S)
    assert STALE_S <= at.now - began < WAIT_S
    slow.beat()
    with pytest.raises(StorageError, match="being written to"):
        slow.check()
    slow.release()  # takes nothing away that is another's
    taker.beat()
    taker.check()


@pytest.mark.parametrize("ahead_s", [-3600.0, 300.0, 1e9])
def test_a_living_lease_is_not_taken_by_one_whose_clock_is_another(ahead_s: float) -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    owner = lease(folder, at)
    beats = Clock(
        lambda: at.now,
        lambda: at.now + ahead_s,
        lambda seconds: (at.sleep(seconds), owner.beat())[1],
    )
    with pytest.raises(StorageError, match="being written to by process"):
        Lease(folder, WAIT_S, beats, beating=False)
    owner.check()


def test_a_lease_of_long_ago_is_taken_when_it_was_seen_unchanged() -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    lost = lease(folder, at)
    at.now += 10**6
    with pytest.raises(StorageError, match="being written to"):
        lease(folder, at, 0.0)
    lease(folder, at, WAIT_S)
    lost.release()


def test_a_lease_beats_though_the_clock_on_the_wall_stands_still() -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    owner = Lease(folder, 0.0, Clock(lambda: at.now, lambda: 5.0, at.sleep), beating=False)
    before = folder.read(LEASE_FILE)
    owner.beat()
    assert folder.read(LEASE_FILE) != before


def test_an_owner_that_slept_does_not_write_after_a_takeover() -> None:
    """The thread that beats has not run yet when the one that writes does."""
    for gives_back in (False, True):
        folder, at = CrashingFolder(Disk(atomic=True)), Time()
        slept = Ledger(
            folder, take=lambda place, wait_s, at=at: Lease(place, wait_s, at.clock, beating=False)
        )  # type: ignore[misc]
        slept.append(entry(1, "mine"))
        taker = lease(folder, at, WAIT_S)
        if gives_back:
            taker.release()
        with pytest.raises(StorageError):
            slept.append(entry(2, "too late"))
        assert len(Ledger.read_only(folder)) == 1


def test_an_owner_that_slept_goes_on_if_nobody_took_the_folder() -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    owner = lease(folder, at)
    at.now += 3 * STALE_S
    owner.check()
    at.now += STALE_S - 1
    folder.disk.full = True
    owner.check()  # nobody can have taken it yet
    at.now += 2
    with pytest.raises(StorageError, match="cannot be written"):
        owner.check()
    folder.disk.full = False
    owner.check()


def test_a_late_write_of_an_opener_does_not_take_the_lease() -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    other: list[Lease] = []

    def meanwhile() -> None:
        """The first has seen that the folder is free, and is stopped before it writes; the other
        takes the folder, and lives.
        """
        folder.disk.seen = lambda: None
        other.append(lease(folder, at))
        at.now += 1.0

    def beats(seconds: float) -> None:
        at.sleep(seconds)
        if other and seconds > SETTLE_S:
            other[0].beat()

    folder.disk.seen = meanwhile
    first = Lease(folder, 0.0, Clock(lambda: at.now, lambda: at.now, beats), beating=False)
    first.check()
    with pytest.raises(StorageError, match="being written to"):
        other[0].check()  # it has seen that before the first relied on the folder


def test_of_two_openers_at_once_one_gets_the_lease() -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    other: list[Lease] = []

    def meanwhile() -> None:
        """The first has seen that the folder is free, and is about to write its lease."""
        folder.disk.seen = lambda: None
        other.append(lease(folder, at))

    folder.disk.seen = meanwhile
    first = lease(folder, at)
    for one in (first, *other):
        one.beat()
    first.check()
    with pytest.raises(StorageError, match="being written to"):
        other[0].check()


def test_a_store_that_is_away_for_a_while_costs_no_lease() -> None:
    folder, at = CrashingFolder(Disk(atomic=True)), Time()
    owner = lease(folder, at)
    folder.disk.full = True
    owner.beat()
    folder.disk.full = False
    owner.check()


def test_a_released_lease_is_gone(bucket: str) -> None:
    folder = open_folder(bucket)
    held = hold(folder)
    assert json.loads(folder.read(".lease"))["pid"] == os.getpid()
    held.release()
    held.release()
    assert not folder.exists(".lease")
    began = time.monotonic()
    hold(folder, 0.0).release()
    assert time.monotonic() - began < STALE_S
