"""A ledger whose bytes have changed on the disk: what is lost is found, told and kept; what is
sound is read on.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from optimizer.types import Completion
from serving.ledger import ENDING, Ledger, Paid
from serving.ledger.compaction import repair
from serving.ledger.damage import COPY_ENDING
from serving.ledger.format import SCHEMA, batch_of, contents, whole
from serving.ledger.inspection import read_segments, verify
from serving.storage import Folder, open_folder
from tests.contracts.crashing_folder import CrashingFolder, Disk, no_hold
from tests.contracts.paid import entry

FLIPS = 200
Rows = dict[bytes, dict[str, Any]]


def rows_of(folder: Folder) -> Rows:
    """Return all columns of the entry that stands, by key."""
    rows: Rows = {}
    for _, _, read in read_segments(folder, SCHEMA.names):
        for batch in read.batches:
            for row in batch.to_pylist():
                rows.setdefault(row["key"], row)
    return rows


def holding(files: Mapping[str, bytes]) -> CrashingFolder:
    return CrashingFolder(
        Disk(atomic=True, files={f"memory/{name}": data for name, data in files.items()})
    )


def filled() -> dict[str, bytes]:
    """Return a ledger as runs leave it: sealed segments, a merged one, and the two copies of one whose
    writer was killed.
    """
    folder, rng = holding({}), Random(7)

    def some(begin: int, number: int) -> dict[bytes, Paid]:
        group: dict[bytes, Paid] = {}
        for at in range(begin, begin + number):
            group |= entry(
                at,
                Completion(
                    f"Answer {at}: "
                    + " ".join(rng.choices(("left", "right", "return", "step"), k=30)),
                    at % 7 == 0,
                    100 + at,
                    20 + at,
                    metadata={"finish": "stop"} if at % 3 else {},
                    cached_tokens=at % 5 or None,
                ),
            )
        return group

    for begin in (0, 20):
        with Ledger(folder, take=no_hold) as ledger:
            ledger.append(some(begin, 20))
    repair(folder)
    with Ledger(folder, take=no_hold, segment_bytes=6000) as ledger:
        for begin in range(40, 80, 5):
            ledger.append(some(begin, 5))
    killed = Ledger(folder, take=no_hold)
    for begin in range(80, 100, 5):
        killed.append(some(begin, 5))
    return {name: folder.read(name) for name in folder.names(ENDING)}


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


@pytest.mark.slow
def test_of_200_bits_that_flip_none_changes_or_loses_an_entry_in_silence() -> None:
    files = filled()
    sound = rows_of(holding(files))
    assert len(sound) == 100
    bits = [(name, bit) for name, data in files.items() for bit in range(8 * len(data))]
    silent: list[str] = []
    for name, bit in Random(11).sample(bits, FLIPS):
        damaged = flipped(files[name], bit)
        folder = holding(files | {name: damaged})
        changed = rows_of(folder) != sound
        if changed and not verify(folder).faults:
            silent.append(f"verify: {name} bit {bit}")
        if changed and not Ledger.read_only(folder).damage:
            silent.append(f"run: {name} bit {bit}")
        repair(folder)
        if rows_of(folder) != sound and damaged not in folder.disk.files.values():
            silent.append(f"compact: {name} bit {bit}")
    assert silent == []


def groups(number: int) -> list[Any]:
    """Return `number` batches of ten entries."""
    return [
        batch_of(
            {
                key: paid
                for one in range(10 * at, 10 * at + 10)
                for key, paid in entry(one, f"answer {one}").items()
            },
            datetime(2026, 1, 1, tzinfo=UTC),
        )
        for at in range(number)
    ]


def keys_read(data: bytes) -> list[int]:
    """Return the groups that are read, by the number of their first entry."""
    return [int(batch["text"][0].as_py().split()[-1]) // 10 for batch in contents(data).batches]


def test_batches_behind_a_damaged_one_are_read_and_losses_counted() -> None:
    data = whole(groups(4))
    in_the_third = data.index(whole(groups(3)[2:])[len(whole([])) - 8 : -8]) + 600
    read = contents(flipped(data, 8 * in_the_third))
    assert (read.state, read.lost_batches, read.lost_rows, read.rows) == ("damaged", 1, 10, 30)
    assert keys_read(flipped(data, 8 * in_the_third)) == [0, 1, 3]


def test_a_flipped_bit_of_framing_or_schema_loses_at_most_one_batch() -> None:
    """The schema is known, and a batch is found by its checksum wherever it begins."""
    data, empty = whole(groups(3)), len(whole([])) - 8
    message = len(whole(groups(1))) - empty - 8
    places = [
        *range(empty),
        *range(empty + message, empty + message + 100),
        *range(len(data) - 8, len(data)),
    ]
    for place in places:
        read = contents(flipped(data, 8 * place + place % 8))
        assert read.state in ("damaged", "torn"), place
        assert read.rows >= 20, place
        assert read.rows + 10 * read.lost_batches >= 30, place
        assert read.rows == 30 or empty <= place < len(data) - 8, place


def test_a_cut_end_is_torn_and_bytes_that_changed_are_damaged() -> None:
    data = whole(groups(3))
    assert {contents(data[:length]).state for length in range(0, len(data), 7)} == {"torn"}
    assert contents(data[:-200] + bytes(200)).state == "damaged"
    lost = len(data) // 2
    assert contents(data[:lost] + data[lost + 64 :]).state == "damaged"


def test_a_batch_that_says_it_has_a_checksum_and_has_none_is_damaged() -> None:
    data = whole(groups(2))
    assert contents(data.replace(b"promptray:", b"promptraz:", 1)).rows == 10


def test_verify_reports_an_old_segment_without_checksums_as_unchecked(
    tmp_path: Path,
) -> None:
    old = SCHEMA.with_metadata({"promptray_ledger": "1"})
    with pa.ipc.new_stream(
        tmp_path / "000001-old.arrows", old, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as stream:
        for batch in groups(3):
            stream.write_batch(pa.record_batch(batch.columns, schema=old))
    with Ledger(tmp_path) as ledger:
        assert (len(ledger), ledger.damage) == (30, [])
        ledger.append(entry(99, "new"))
    found = verify(open_folder(tmp_path))
    assert (found.entries, found.unsummed, found.faults) == (31, 30, [])
    repair(open_folder(tmp_path))
    assert verify(open_folder(tmp_path)).unsummed == 0


def test_an_old_batch_that_cannot_be_decoded_is_reported(
    tmp_path: Path,
) -> None:
    old = SCHEMA.with_metadata({"promptray_ledger": "1"})
    broken, sound = groups(2)
    broken = broken.set_column(5, old.field("metadata"), pa.array([b"{"] * 10, pa.binary()))
    with pa.ipc.new_stream(tmp_path / "000001-old.arrows", old) as stream:
        for batch in (broken, sound):
            stream.write_batch(pa.record_batch(batch.columns, schema=old))
    read = Ledger.read_only(tmp_path)
    assert len(read) == 10
    assert "at least 10 in 1 batch cannot be" in read.damage[0]
    assert "cannot be read" in verify(open_folder(tmp_path)).faults[0]


def test_compaction_copies_a_damaged_file_and_leaves_a_sound_ledger(
    tmp_path: Path,
) -> None:
    data = flipped(whole(groups(3)), 8 * (len(whole(groups(2))) - 100))
    (tmp_path / "000001-x.a.arrows").write_bytes(data)
    assert repair(open_folder(tmp_path)) == ["000001-x.a.arrows"]
    assert (tmp_path / f"000001-x.a.arrows{COPY_ENDING}").read_bytes() == data
    found = verify(open_folder(tmp_path))
    assert (found.entries, found.faults, found.copies) == (
        20,
        [],
        [f"000001-x.a.arrows{COPY_ENDING}"],
    )
