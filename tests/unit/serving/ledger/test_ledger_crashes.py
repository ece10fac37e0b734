"""The machine stops at every single write or delete, on folders whose writes are atomic and on such
whose are not: no acknowledged answer is lost and no torn one is read, through appends, merges,
prunes and openings in any order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import StorageError
from optimizer.types import Completion
from serving.ledger import ENDING, Ledger, Paid, key_of
from serving.ledger.compaction import of_model, prune, repair
from serving.ledger.format import contents
from tests.contracts.crashing_folder import Crash, CrashingFolder, Disk, no_hold
from tests.contracts.examples import examples
from tests.contracts.paid import asked

MODELS = ("one@1", "two@1")
Entry = tuple[str, int]
Action = (
    tuple[Literal["append"], tuple[Entry, ...]] | tuple[Literal["reopen", "repair", "prune"], str]
)
ENTRIES = st.tuples(st.sampled_from(MODELS), st.integers(0, 5))
APPENDS = st.tuples(
    st.just("append"), st.lists(ENTRIES, min_size=1, max_size=3, unique=True).map(tuple)
)
OTHERS = st.tuples(
    st.sampled_from(["reopen", "reopen", "repair", "prune"]), st.sampled_from(MODELS)
)
PROGRAMS: st.SearchStrategy[list[Action]] = st.lists(
    APPENDS | APPENDS | OTHERS, min_size=1, max_size=8
)  # type: ignore[arg-type]


def key_of_entry(entry: Entry) -> bytes:
    return key_of(entry[0], asked(str(entry[1])))


def paid(entry: Entry, number: int) -> Paid:
    """Return the answer of append number `number`: another every time, and now and then so long that its
    segment is sealed.
    """
    filling = "".join(map(chr, Random(number).choices(range(64, 9000), k=3000 * (number % 5 == 4))))
    return Paid(Completion(f"{entry} {number} {filling}"), entry[0], asked(str(entry[1])))


@dataclass
class Machine:
    """Runs a program on a disk, and knows which answers it was told are kept."""

    disk: Disk
    kept: dict[Entry, str] = field(default_factory=dict)
    under_way: dict[Entry, str] = field(default_factory=dict)
    """Files that a crash now may have written or not."""
    going: set[Entry] = field(default_factory=set)
    """Files that a crash now may have deleted or not."""
    number: int = 0
    ledger: Ledger | None = None

    @property
    def folder(self) -> CrashingFolder:
        return CrashingFolder(self.disk)

    def open(self) -> Ledger:
        if self.ledger is None:
            self.ledger = Ledger(self.folder, take=no_hold, segment_bytes=9000, most_small=3)
        return self.ledger

    def run(self, action: Action) -> None:
        if action[0] == "append":
            self.append(action[1])
        elif action[0] == "reopen":
            self.close()
            self.open()
        elif action[0] == "repair":
            self.close()
            repair(self.folder)
        else:
            self.prune(action[1])

    def append(self, entries: tuple[Entry, ...]) -> None:
        self.number += 1
        group = {entry: paid(entry, self.number) for entry in entries}
        self.under_way = {
            entry: one.answer.text for entry, one in group.items() if entry not in self.kept
        }
        self.open().append({key_of_entry(entry): one for entry, one in group.items()})
        self.kept, self.under_way = {**self.under_way, **self.kept}, {}

    def prune(self, model: str) -> None:
        self.close()
        self.going = {entry for entry in self.kept if entry[0] == model}
        prune(self.folder, of_model(model))
        for entry in self.going:
            del self.kept[entry]
        self.going = set()

    def close(self) -> None:
        if self.ledger:
            self.ledger.close()
        self.ledger = None

    def restart(self) -> None:
        """Go on after a crash with the files that are there now."""
        self.ledger, self.disk.operations_left = None, None
        read = self.check()
        self.kept = {
            entry: text for entry, text in (self.kept | self.under_way).items() if entry in read
        }
        self.under_way, self.going = {}, set()

    def check(self) -> dict[Entry, str]:
        """Reads as another process would at this moment."""
        ledger = Ledger.read_only(self.folder)
        found = {
            entry: ledger.get(key_of_entry(entry))
            for entry in ((model, n) for model in MODELS for n in range(6))
        }
        read = {entry: answer.text for entry, answer in found.items() if answer}
        for entry, text in self.kept.items():
            assert read.get(entry, text if entry in self.going else None) == text, (
                "an acknowledged answer is lost, or is another"
            )
        for entry, text in read.items():
            assert (self.kept | self.under_way)[entry] == text, "an answer that was never given"
        return read


def played(program: list[Action], disk: Disk) -> tuple[Machine, int]:
    """Return the machine at the end, and at which action it stopped for a while: len(program) if it did
    not.
    """
    machine, crashed_at = Machine(disk), len(program)
    disk.seen = lambda: (
        None
        if disk.operations_left is not None and disk.operations_left < 0
        else machine.check() and None
    )
    for at, action in enumerate(program):
        try:
            machine.run(action)
        except Crash:
            crashed_at = at
            machine.restart()
    machine.check()
    return machine, crashed_at


def operations(program: list[Action], atomic: bool) -> int:
    disk = Disk(atomic, operations_left=10**9)
    played(program, disk)
    assert disk.operations_left is not None
    return 10**9 - disk.operations_left


@pytest.mark.slow
@pytest.mark.parametrize("atomic", [True, False])
@settings(max_examples=examples(50), deadline=None)
@given(program=PROGRAMS, torn_at=st.floats(0, 1))
def test_a_crash_at_any_operation_loses_and_tears_nothing(
    atomic: bool, program: list[Action], torn_at: float
) -> None:
    for stop in range(operations(program, atomic)):
        machine, crashed_at = played(program, Disk(atomic, torn_at, operations_left=stop))
        assert crashed_at < len(program)
        machine.close()
        repair(machine.folder)
        machine.check()
        names = machine.folder.names(ENDING)
        assert all(contents(machine.folder.read(name)).state == "whole" for name in names)
        assert len(names) <= 1


@pytest.mark.parametrize("atomic", [True, False])
@settings(max_examples=examples(60), deadline=None)
@given(
    program=PROGRAMS, torn_at=st.floats(0, 1), full=st.lists(st.booleans(), min_size=8, max_size=8)
)
def test_a_full_disk_changes_nothing_and_the_next_write_succeeds(
    atomic: bool, program: list[Action], torn_at: float, full: list[bool]
) -> None:
    machine = Machine(Disk(atomic, torn_at))
    for action, no_room in zip(program, full, strict=False):
        if action[0] == "append" and no_room:
            machine.open()
            machine.disk.full = True
            new = [entry for entry in action[1] if entry not in machine.kept]
            if new:
                with pytest.raises(StorageError, match="no space left"):
                    machine.append(tuple(new))
            machine.disk.full = False
            machine.under_way = {}
            if machine.disk.atomic:
                machine.check()
        machine.run(action)
        machine.check()


def copies(number: int) -> Iterator[Disk]:
    yield from (Disk(atomic=False, torn_at=share / number) for share in range(number + 1))


def test_a_torn_write_leaves_the_copy_with_all_acknowledged_answers() -> None:
    for disk in copies(50):
        machine = Machine(disk)
        for number in range(3):
            machine.append(((MODELS[0], number),))
        disk.operations_left = 0
        with pytest.raises(Crash):
            machine.append(((MODELS[0], 3),))
        machine.restart()
        assert len(machine.kept) >= 3
        again = replace(machine, ledger=None)
        again.append(((MODELS[0], 3),))
        assert len(again.check()) == 4
