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
"""Rows of a batch in a merged segment: enough for zstd to find what repeats."""
Filter = Callable[[Any], Any]
"""Table of SCHEMA -> a mask of the rows that stay."""


@dataclass(frozen=True)
class Found:
    """A segment as it lies in the folder."""

    name: str
    size: int
    state: State


def merge(folder: Folder, found: Iterable[Found], least: int = 2) -> None:
    """Replace every run of at least `least` small and whole segments by one.

    Raises:
        StorageError: If a file cannot be read or written; the folder is as good as before.
    """
    for run in _runs(found, _is_small_and_whole):
        if len(run) >= least:
            _replace(folder, run)


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
        if len(run) > 1 or cut.intersection(run):
            for name in run:
                if name in damaged:
                    copy_damaged(folder, name, folder.read(name))
            _replace(folder, run)
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


def _runs(found: Iterable[Found], mergeable: Callable[[Found], bool]) -> Iterator[list[str]]:
    """Yield neighbours in the order of segments; all copies of a segment are neighbours."""
    for yes, run in groupby(found, mergeable):
        if yes:
            yield [one.name for one in run]


def _replace(folder: Folder, names: Sequence[str]) -> None:
    batches = [batch for name in names for batch in contents(folder.read(name)).batches]
    _write_instead(folder, names, _first_of_each_key(pa.Table.from_batches(batches, SCHEMA)))


def _pruned(folder: Folder, name: str, keep: Filter) -> int:
    read = contents(folder.read(name))
    if read.state != "whole":
        return 0
    table = pa.Table.from_batches(read.batches, SCHEMA)
    rest = table.filter(keep(table))
    if gone := table.num_rows - rest.num_rows:
        _write_instead(folder, [name], rest)
    return int(gone)


def _write_instead(folder: Folder, names: Sequence[str], table: Any) -> None:
    if table.num_rows:
        # The 0 puts it before the copies of a segment that somebody still writes to by mistake:
        # what stands already stands first.
        new = f"{place_in_order(names[0])}.0{uuid.uuid4().hex[:8]}{ENDING}"
        folder.write(new, whole(table.combine_chunks().to_batches(_ROWS)))
    for name in names:
        folder.delete(name)


def _first_of_each_key(table: Any) -> Any:
    row_by_key: dict[bytes, int] = {}
    for row, key in enumerate(table["key"].to_pylist()):
        row_by_key.setdefault(key, row)
    return (
        table
        if len(row_by_key) == table.num_rows
        else table.take(pa.array(row_by_key.values(), pa.int64()))
    )
