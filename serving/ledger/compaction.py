"""Segments that are replaced by fewer or shorter ones. Whoever calls this holds the folder.

A replacement is written whole, under the place in the order of the first segment that it replaces,
before those are deleted. So a crash at any point leaves every entry in at least one file, and the
first answer of a key stands as it did. Foreign files are left as they are. The bytes of a damaged
segment are set aside (damage.py) before it is replaced, so that nothing in it is lost for good.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from serving.ledger.damage import set_aside
from serving.ledger.format import ENDING, SCHEMA, State, contents, place_in_order, whole
from serving.storage import Folder

LARGE_BYTES = 16 * 2**20
"""[ours] A segment of this size is merged no more: so an entry is written anew a few times at most,
however large the ledger.
"""
MOST_SMALL = 32
"""[ours] Segments in a row, smaller than that, that a ledger is opened with before they are merged.
"""
_ROWS = 4096
"""Of a batch in a merged segment: enough for zstd to find what repeats."""
Keep = Callable[[Any], Any]
"""Of a table of SCHEMA, a mask of the rows that stay."""


@dataclass(frozen=True)
class Found:
    """A segment as it lies in the folder."""

    name: str
    size: int
    state: State


def merge(folder: Folder, found: Iterable[Found], least: int = 2) -> None:
    """Replaces every run of at least `least` small and whole segments by one.

    Raises StorageError; the folder is as good as before
    then.
    """
    for run in _runs(found, _is_small_and_whole):
        if len(run) >= least:
            _replace(folder, run)


def mend(folder: Folder) -> list[str]:
    """Merges all small segments, and writes what can be read of torn and damaged ones into whole
    ones; returns the names of damaged
    ones that were set aside. Raises StorageError as `merge` does.
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
                    set_aside(folder, name, folder.read(name))
            _replace(folder, run)
    return damaged


def prune(folder: Folder, keep: Keep) -> int:
    """Mends the ledger, then takes the other entries out of it; returns how many.

    What was set aside of damaged segments stays.
    Raises StorageError: some may be gone by then.
    """
    mend(folder)  # what a torn copy holds would come back otherwise
    return sum(_pruned(folder, name, keep) for name in folder.names(ENDING))


def older_than(moment: datetime) -> Keep:
    """Keeps what was recorded later, and entries of old segments, which do not say when they were
    recorded.
    """

    def keep(table: Any) -> Any:
        return pc.fill_null(
            pc.greater_equal(table["recorded_at"], pa.scalar(moment, pa.timestamp("us", "UTC"))),
            True,
        )

    return keep


def of_model(name: str) -> Keep:
    """Keeps the answers of all other models, and entries of old segments, which do not say whose
    they are.
    """

    def keep(table: Any) -> Any:
        return pc.fill_null(pc.not_equal(table["model"], name), True)

    return keep


def both(one: Keep, other: Keep) -> Keep:
    """Takes out only what both would."""
    return lambda table: pc.or_(one(table), other(table))


def _is_small_and_whole(found: Found) -> bool:
    return found.state == "whole" and found.size < LARGE_BYTES


def _runs(found: Iterable[Found], mergeable: Callable[[Found], bool]) -> Iterator[list[str]]:
    """Neighbours in the order of segments; all copies of a segment are neighbours."""
    for yes, run in groupby(found, mergeable):
        if yes:
            yield [one.name for one in run]


def _replace(folder: Folder, names: Sequence[str]) -> None:
    batches = [batch for name in names for batch in contents(folder.read(name)).batches]
    _write_instead(folder, names, _first_of_each_key(pa.Table.from_batches(batches, SCHEMA)))


def _pruned(folder: Folder, name: str, keep: Keep) -> int:
    read = contents(folder.read(name))
    if read.state != "whole":
        return 0
    table = pa.Table.from_batches(read.batches, SCHEMA)
    kept = table.filter(keep(table))
    if gone := table.num_rows - kept.num_rows:
        _write_instead(folder, [name], kept)
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
