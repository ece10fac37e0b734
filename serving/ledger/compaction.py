"""Compaction: segments are replaced by fewer or shorter ones; the caller holds the folder.

A replacement is written whole, under the position in the order of the first segment that it
replaces, before those are deleted. So a crash at any point leaves every entry in at least one file,
and the first answer of a key stands as it did. Foreign files stay untouched. The bytes of a damaged
segment are copied (damage.py) before it is replaced, so that nothing in it is lost for good.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from serving.ledger.damage import copy_damaged
from serving.ledger.format import ENDING, SCHEMA, State, contents, place_in_order, whole
from serving.storage import Folder

LARGE_BYTES = 16 * 2**20
"""Segments of this size are not merged any more [ours]: so an entry is rewritten a few times at
most, however large the ledger.
"""
MOST_SMALL = 32
"""Number of neighbouring smaller segments with which a ledger is opened before they are merged
[ours].
"""
_ROWS = 4096
"""Rows that a batch of a merged segment has at least: enough for zstd to find what repeats."""
Filter = Callable[[Any], Any]
"""Table of SCHEMA -> a mask of the rows that stay."""


@dataclass(frozen=True)
class Found:
    """A segment as it lies in the folder."""

    name: str
    size: int
    state: State


def merge(folder: Folder, found: Iterable[Found], least: int = 2) -> None:
    """Replace every run of at least `least` small and whole segments by fewer, larger ones.

    Raises:
        StorageError: If a file cannot be read or written; the folder is as good as before.
    """
    for run in _runs(found, _is_small_and_whole):
        if len(run) >= least:
            for names in _portions(run):
                if len(names) > 1:
                    _replace(folder, names)


def repair(folder: Folder) -> list[str]:
    """Rewrite torn and damaged segments as whole ones, and merge all small ones.

    Returns:
        The names of damaged ones, whose bytes were copied first.

    Raises:
        StorageError: As `merge`.
    """
    found = [
        Found(name, len(data := folder.read(name)), contents(data).state)
        for name in folder.names(ENDING)
    ]
    cut = {one.name for one in found if one.state in ("torn", "damaged")}
    damaged = [one.name for one in found if one.state == "damaged"]
    for run in _runs(found, lambda one: one.name in cut or _is_small_and_whole(one)):
        for names in _portions(run):
            if len(names) > 1 or cut.intersection(names):
                for name in names:
                    if name in damaged:
                        copy_damaged(folder, name, folder.read(name))
                _replace(folder, names)
    return damaged


def prune(folder: Folder, keep: Filter) -> int:
    """Repair the ledger, then remove the other entries; return how many were removed.

    Copies of damaged segments stay.

    Raises:
        StorageError: If a file cannot be read or written; some entries may be gone by then.
    """
    # Entries in a torn copy would come back otherwise.
    repair(folder)
    return sum(_pruned(folder, name, keep) for name in folder.names(ENDING))


def older_than(moment: datetime) -> Filter:
    """Return a filter for what was recorded later.

    Entries of old segments, which have no time, stay too.
    """

    def keep(table: Any) -> Any:
        return pc.fill_null(
            pc.greater_equal(table["recorded_at"], pa.scalar(moment, pa.timestamp("us", "UTC"))),
            True,
        )

    return keep


def of_model(name: str) -> Filter:
    """Return a filter for the answers of all other models.

    Entries of old segments, which have no model, stay too.
    """

    def keep(table: Any) -> Any:
        return pc.fill_null(pc.not_equal(table["model"], name), True)

    return keep


def both(one: Filter, other: Filter) -> Filter:
    """Return a filter that removes only what both would."""
    return lambda table: pc.or_(one(table), other(table))


def _is_small_and_whole(found: Found) -> bool:
    return found.state == "whole" and found.size < LARGE_BYTES


def _runs(found: Iterable[Found], mergeable: Callable[[Found], bool]) -> Iterator[list[Found]]:
    """Yield neighbours in the order of segments; all copies of a segment are neighbours."""
    # Neighbours only: merging over a segment between them would change which answer of a key is
    # first.
    for yes, run in groupby(found, mergeable):
        if yes:
            yield list(run)


def _portions(run: Iterable[Found]) -> Iterator[list[str]]:
    """Divide neighbours into portions that become one segment each.

    A portion has LARGE_BYTES or little more, so that neither its segment nor the memory for making
    it grows with the ledger.
    """
    names: list[str] = []
    size = 0
    for one in run:
        names.append(one.name)
        size += one.size
        if size >= LARGE_BYTES:
            yield names
            names, size = [], 0
    if names:
        yield names


def _replace(folder: Folder, names: Sequence[str]) -> None:
    _write_instead(folder, names, _first_of_each_key(folder, names))


def _pruned(folder: Folder, name: str, keep: Filter) -> int:
    read = contents(folder.read(name))
    # It could not be repaired: nothing is deleted that was not read.
    if read.state != "whole":
        return 0
    table = pa.Table.from_batches(read.batches, SCHEMA)
    kept = table.filter(keep(table))
    if gone := table.num_rows - kept.num_rows:
        _write_instead(folder, [name], kept.to_batches())
    return int(gone)


def _write_instead(folder: Folder, names: Sequence[str], batches: Iterable[Any]) -> None:
    data = whole(_joined(batches))
    # A segment without entries is not written: it would be found again at every opening.
    if data != whole([]):
        # The 0 puts it before the copies of a segment that somebody still writes to by mistake:
        # what stands already stands first.
        new = f"{place_in_order(names[0])}.0{uuid.uuid4().hex[:8]}{ENDING}"
        folder.write(new, data)
    for name in names:
        # After the write: a crash in between leaves two copies of an entry, and never none.
        folder.delete(name)


def _first_of_each_key(folder: Folder, names: Sequence[str]) -> Iterator[Any]:
    """Read one segment after the other: unpacked, together they are twenty times their size."""
    seen: set[bytes] = set()
    for name in names:
        for batch in contents(folder.read(name)).batches:
            first = []
            for key in batch["key"].to_pylist():
                first.append(key not in seen)
                seen.add(key)
            yield batch if all(first) else batch.filter(pa.array(first, pa.bool_()))


def _joined(batches: Iterable[Any]) -> Iterator[Any]:
    """Join batches to such of at least _ROWS rows, but for the last one; none is empty."""
    waiting: list[Any] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _ROWS:
            yield _one(waiting)
            waiting, rows = [], 0
    if rows:
        yield _one(waiting)


def _one(batches: Sequence[Any]) -> Any:
    (batch,) = pa.Table.from_batches(batches, SCHEMA).combine_chunks().to_batches()
    return batch
