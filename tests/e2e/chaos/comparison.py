"""Whether two results folders hold the same experiment: what it found, bit for bit, but not what it
took. Knows files alone.
"""

import json
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from cluster.apply import TARGET_SETTINGS

COSTS = ("wall_s", "ledger_hits", "prefix_hit_rate", "money")
"""Columns of what a run took, which is another thing each time.

Tables without any of them are compared byte for byte.
"""
TABLES = ("trials.parquet", "candidates.parquet")


def differences(one: Path, other: Path, asked_otherwise: Collection[str] = ()) -> list[str]:
    """What of `other` is not as in `one`, a line each; empty where they hold the same.

    `asked_otherwise` names settings of the target model that the two do not share by intention:
    best prompts carry them.
    """
    return [
        *(line for name in TABLES for line in _table(one / name, other / name)),
        *_prompts(one / "best", other / "best", asked_otherwise),
    ]


def _table(one: Path, other: Path) -> Iterator[str]:
    if not (one.is_file() and other.is_file()):
        yield f"{one.name} is missing"
        return
    tables = [pq.read_table(path) for path in (one, other)]
    costs = [name for name in COSTS if name in tables[0].column_names]
    before, after = (
        table.drop_columns([name for name in costs if name in table.column_names])
        for table in tables
    )
    if before.equals(after, check_metadata=True):
        if not costs and one.read_bytes() != other.read_bytes():
            yield f"{one.name} has other bytes"
        return
    if before.schema != after.schema or len(before) != len(after):
        yield f"{one.name} has {len(after)} rows of {after.column_names}, not {len(before)} of {before.column_names}"
        return
    for row, (expected, found) in enumerate(
        zip(before.to_pylist(), after.to_pylist(), strict=True)
    ):
        yield from (
            f"{one.name}, row {row}, {name}: {found[name]!r}, not {expected[name]!r}"
            for name in expected
            if json.dumps(found[name]) != json.dumps(expected[name])
        )


def _prompts(one: Path, other: Path, asked_otherwise: Collection[str]) -> Iterator[str]:
    before, after = (
        {path.name: _prompt(path, asked_otherwise) for path in folder.glob("*.json")}
        for folder in (one, other)
    )
    if not before:
        yield "there is no best prompt to compare with"
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"best/{name} differs"


def _prompt(path: Path, asked_otherwise: Collection[str]) -> bytes:
    if not asked_otherwise:
        return path.read_bytes()
    about = json.loads(path.read_bytes())
    for name in asked_otherwise:
        about[TARGET_SETTINGS].pop(name, None)
    return json.dumps(about).encode()
