"""A ledger whose bytes have changed on the disk: what is lost is found, told and kept; what is sound is read on."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from optimizer.types import Completion
from serving.ledger import ENDING, Ledger
from serving.ledger.compaction import mend
from serving.ledger.inspection import read_segments, verify
from serving.ledger.segments import SCHEMA
from serving.storage import open_folder
from tests.contracts.paid import entry

FLIPS = 200
Rows = dict[bytes, dict[str, Any]]


def rows_of(place: Path) -> Rows:
    """All columns of the entry that stands, by key."""
    rows: Rows = {}
    for _, _, read in read_segments(open_folder(place), SCHEMA.names):
        for batch in read.batches:
            for row in batch.to_pylist():
                rows.setdefault(row["key"], row)
    return rows


def filled(place: Path) -> dict[str, bytes]:
    """A ledger as runs leave it: sealed segments, a merged one, and the two copies of one whose writer was killed."""
    rng = Random(7)

    def some(numbers: range) -> dict[bytes, Any]:
        return {key: paid for number in numbers for key, paid in entry(number, Completion(
            f"Answer {number}: " + " ".join(rng.choices(("left", "right", "return", "step"), k=30)), number % 7 == 0,
            100 + number, 20 + number, metadata={"finish": "stop"} if number % 3 else {}, cached_tokens=number % 5 or None)).items()}

    for begin in (0, 30):
        with Ledger(place) as ledger:
            ledger.append(some(range(begin, begin + 30)))
    mend(open_folder(place))
    with Ledger(place, segment_bytes=6000) as ledger:
        for begin in range(60, 120, 6):
            ledger.append(some(range(begin, begin + 6)))
    killed = Ledger(place)
    for begin in range(120, 140, 5):
        killed.append(some(range(begin, begin + 5)))
    files = {path.name: path.read_bytes() for path in place.glob(f"*{ENDING}")}
    killed.close()
    return files


def put(place: Path, files: dict[str, bytes]) -> None:
    for path in place.iterdir():
        path.unlink()
    for name, data in files.items():
        (place / name).write_bytes(data)


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def test_of_200_bits_that_flip_none_changes_or_loses_an_entry_in_silence(tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    files = filled(place)
    put(place, files)
    sound = rows_of(place)
    assert len(sound) == 140
    rng = Random(11)
    bits = [(name, bit) for name, data in files.items() for bit in range(8 * len(data))]
    silent: list[str] = []
    for name, bit in rng.sample(bits, FLIPS):
        damaged = flipped(files[name], bit)
        put(place, files | {name: damaged})
        where = f"{name} bit {bit}"
        changed = rows_of(place) != sound
        if changed and not verify(open_folder(place)).faults:
            silent.append(f"verify: {where}")
        if changed and not Ledger.read_only(place).torn:
            silent.append(f"run: {where}")
        mend(open_folder(place))
        if rows_of(place) != sound and damaged not in [path.read_bytes() for path in place.iterdir()]:
            silent.append(f"compact: {where}")
    assert silent == []
