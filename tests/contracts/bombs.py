"""Task files of a few kB, or without end, that mean gigabytes to whoever believes them."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TEXT = "x" * 1000
REPEATED = 400_000


def repeated_text(path: Path) -> None:
    """4 GB of one text that the file says once."""
    column = pa.DictionaryArray.from_arrays(
        pa.array([0], pa.int32()).take(pa.array([0] * REPEATED)), pa.array([TEXT * 5])
    )
    pq.write_table(
        pa.table({"input": column, "target": column}),
        path,
        compression="zstd",
        row_group_size=REPEATED,
    )


def long_list(path: Path) -> None:
    """One row whose target is a list of 60 MB."""
    texts = pa.array([TEXT] * 2).take(pa.array([0] * 60_000))
    target = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    pq.write_table(pa.table({"input": ["a"], "target": target}), path, compression="zstd")


def large_texts_in_lists(path: Path) -> None:
    """Forty times the same MB, in lists of ten."""
    texts = pa.array([TEXT * 1000, "b"]).take(pa.array([0] * 40))
    target = pa.ListArray.from_arrays(pa.array(range(0, 41, 10), pa.int32()), texts)
    pq.write_table(
        pa.table({"input": ["a"] * 4, "target": target}),
        path,
        compression="zstd",
        dictionary_pagesize_limit=2**26,
    )


def packed_text(path: Path) -> None:
    """One text of 40 MB, packed."""
    pq.write_table(
        pa.table({"input": [TEXT * 40_000], "target": ["a"]}),
        path,
        compression="zstd",
        use_dictionary=False,
    )


def many_rows(path: Path) -> None:
    """Ten million rows of nothing."""
    column = pa.nulls(10_000_000)
    pq.write_table(pa.table({"input": column, "target": column}), path)


def empty_lists(path: Path) -> None:
    """JSON of which each three bytes take 64."""
    path.write_text("[" + "[]," * 6_000_000 + "[]]")


def empty_lists_in_a_line(path: Path) -> None:
    path.write_text('{"input": "a", "target": "b", "x": [' + "{}," * 6_000_000 + "[]]}\n")


def prefix(path: Path) -> None:
    """A prefix of a MB for each of a hundred thousand examples."""
    rows = [{"input": "a", "target": "b"}] * 100_000
    path.write_text(json.dumps({"task_prefix": TEXT * 900, "examples": rows}))


def name(path: Path) -> None:
    """A name of a MB in the id of each of ten thousand examples."""
    path.write_text(
        json.dumps({"name": TEXT * 1000, "examples": [{"input": "a", "target": "b"}] * 10_000})
    )


def one_line(path: Path) -> None:
    path.write_text("input,target\n" + "a" * 5_000_000)


def many_cells(path: Path) -> None:
    path.write_text("input,target\n" + "," * 6_000_000)


def open_quote(path: Path) -> None:
    path.write_text('input,target\n"' + "a\n" * 2_000_000)


BOMBS: dict[str, Callable[[Path], None]] = {
    "repeated_text.parquet": repeated_text,
    "long_list.parquet": long_list,
    "large_texts_in_lists.parquet": large_texts_in_lists,
    "packed_text.parquet": packed_text,
    "many_rows.parquet": many_rows,
    "empty_lists.json": empty_lists,
    "empty_lists.jsonl": empty_lists_in_a_line,
    "prefix.json": prefix,
    "name.json": name,
    "one_line.csv": one_line,
    "many_cells.csv": many_cells,
    "open_quote.csv": open_quote,
}
