"""Readers of tables, .csv and .parquet, that hold one bounded piece in memory at a time.

Neither the footer of a parquet file nor its small size limits what it unpacks to: the footer is
checked first, the columns are read in batches that stay packed, and a batch is unpacked only after
its texts were counted.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from optimizer.errors import DataError, shortened
from optimizer.tasks.bounds import ReadLimits, TextCounter, check_size, text_lines, too_much

COLUMNS = ("input", "target")
"""Columns that a table must have."""
OWN_COLUMNS = (*COLUMNS, "choices")
"""Columns that are read; the names of all others are reported to the user."""
_NAMED = 5
"""Number of faulty lines that a message names."""
MOST_COLUMNS = 10_000
"""Maximum number of columns of any kind in one parquet file [ours]."""
_BATCH_ROWS = 64
_BYTES_OF_A_NUMBER = 8


def csv_rows(path: Path, limits: ReadLimits, unused: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a .csv file with their input, target and choices.

    Nothing is repaired: a row that has more or fewer fields than there are headings may have its
    text in the wrong column, and a misplaced quote can swallow the rows behind it.

    Args:
        path: The file.
        limits: Limits on its size.
        unused: A set to which the names of all other columns are added.

    Raises:
        DataError: If the file is not CSV, or rows do not fit the headings; it names the lines.
    """
    # The limit of the csv module is global; it is set before every file.
    csv.field_size_limit(limits.cell_characters)
    feed = _Feed(path, limits)
    reader = csv.reader(feed, strict=True)
    names: list[str] | None = None
    odd: list[tuple[int, int]] = []
    try:
        for row in reader:
            line = feed.row_is_read()
            if names is None:
                need_columns(path, row)
                names = row
                unused.update(name for name in names if name not in OWN_COLUMNS)
            elif row and len(row) != len(names):
                odd.append((line, len(row)))
            elif row and not odd:
                yield {name: row[place] for place, name in enumerate(names) if name in OWN_COLUMNS}
    except csv.Error as problem:
        if "field larger" in str(problem):
            raise too_much(path, "characters in one text", limits.cell_characters) from problem
        raise DataError(
            f"{path} is not CSV: in line {feed.first_line}, or in the row that begins there, a "
            "quote stands where none may stand "
            f'or is not closed ({problem}); write a quote inside a text as two quotes ("").'
        ) from problem
    if odd:
        lines = ", ".join(str(line) for line, _ in odd[:_NAMED]) + (
            f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else ""
        )
        fields = "1 field" if odd[0][1] == 1 else f"{odd[0][1]} fields"
        raise DataError(
            f"{path} has {fields} in line {odd[0][0]} under {len(names or ())} headings (lines "
            f"like it: {lines}); put a text that "
            "holds a comma into quotes."
        )


class _Feed:
    """The lines of a .csv file, split as the csv module needs them; counts the size of each row."""

    def __init__(self, path: Path, limits: ReadLimits) -> None:
        self._path = path
        self._limits = limits
        self._lines = self._split()
        self._characters = self._cells = 0
        self._line = 0
        self.first_line = 1
        """First line of the row that is being read."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._line += 1
        self._characters += len(line)
        self._cells += line.count(",") + 1
        if self._characters > self._limits.piece_bytes:
            raise too_much(self._path, "characters in one row", self._limits.piece_bytes)
        if self._cells > self._limits.values:
            raise too_much(self._path, "cells in one row", self._limits.values)
        return line

    def row_is_read(self) -> int:
        """Return the line in which the row just read begins."""
        first, self.first_line = self.first_line, self._line + 1
        self._characters = self._cells = 0
        return first

    def _split(self) -> Iterator[str]:
        """Yield the lines; lone carriage returns end lines, too, as some spreadsheets do."""
        for line in text_lines(self._path, self._limits):
            if "\r" not in line.removesuffix("\r\n"):
                yield line
                continue
            ended = line.endswith("\r\n")
            *parts, last = line.removesuffix("\r\n").split("\r")
            yield from (f"{part}\r" for part in parts)
            yield last + ("\r\n" if ended else "")


def parquet_rows(path: Path, limits: ReadLimits, unused: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a .parquet file with their input, target and choices.

    The names of all other columns are added to `unused`.

    Raises:
        DataError: If the file is not parquet, lacks a column, or is beyond a limit.
    """
    # Imported here: the other forms need no Arrow, and it is slow to load.
    import pyarrow
    import pyarrow.parquet

    check_size(path, limits.file_bytes)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            leaves = _checked_footer(path, file, limits)
            names = file.schema_arrow.names
        unused.update(name for name in names if name not in OWN_COLUMNS)
        if not leaves:
            return
        # Packed texts stay packed: a text that stands there once is once in memory until its batch
        # was counted.
        with pyarrow.parquet.ParquetFile(path, read_dictionary=leaves, pre_buffer=False) as file:
            packed = TextCounter(path, limits)
            for batch in file.iter_batches(
                _BATCH_ROWS,
                columns=[name for name in OWN_COLUMNS if name in names],
                use_threads=False,
            ):
                for column in batch.columns:
                    packed.add(*_characters(column))
                yield from _rows(batch)
    except (pyarrow.ArrowException, KeyError, OSError) as problem:
        raise DataError(
            f"{path} is not a parquet file that can be read: {shortened(str(problem)).rstrip('.')}."
        ) from problem


def need_columns(path: Path, columns: Iterable[str]) -> None:
    """Check that a table has an input and a target, and none of the known columns twice.

    Raises:
        DataError: If it does not.
    """
    has = list(columns)
    twice = [name for name in OWN_COLUMNS if has.count(name) > 1]
    if twice:
        raise DataError(
            f"{path} has more than one column called {' and '.join(twice)}; name each once."
        )
    missing = [column for column in COLUMNS if column not in has]
    if has and missing:
        listed = shortened(", ".join(map(str, has[:100])))
        raise DataError(
            f"{path} has no column {' and no column '.join(missing)}; it has: {listed}."
        )


def _checked_footer(path: Path, file: Any, limits: ReadLimits) -> list[str]:
    """Check the footer, and return the needed columns by their parquet names.

    Raises:
        DataError: If the footer alone shows that the file is beyond a limit.
    """
    about, schema = file.metadata, file.schema_arrow
    if about.num_rows > limits.rows:
        raise too_much(path, "examples", limits.rows)
    if about.num_columns > MOST_COLUMNS:
        raise too_much(path, "columns", MOST_COLUMNS)
    need_columns(path, schema.names)
    if not schema.names:
        return []
    for name in OWN_COLUMNS:
        if name in schema.names:
            _check_column(path, name, schema)
    places = [
        place
        for place in range(about.num_columns)
        if file.schema.column(place).path.split(".")[0] in OWN_COLUMNS
    ]
    chunks = [
        about.row_group(group).column(place)
        for group in range(about.num_row_groups)
        for place in places
    ]
    if sum(max(0, chunk.total_uncompressed_size) for chunk in chunks) > limits.characters:
        raise too_much(path, "bytes of inputs and targets together", limits.characters)
    if sum(chunk.num_values for chunk in chunks) > limits.values:
        raise too_much(path, "values", limits.values)
    return [file.schema.column(place).path for place in places]


def _check_column(path: Path, name: str, schema: Any) -> None:
    import pyarrow.types as types

    held = schema.field(name).type
    if types.is_list(held) or types.is_large_list(held) or types.is_fixed_size_list(held):
        held = held.value_type
    if types.is_dictionary(held):
        held = held.value_type
    plain = (
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_integer,
        types.is_floating,
        types.is_boolean,
        types.is_null,
    )
    if not any(is_one(held) for is_one in plain):
        listed = shortened(str(schema.field(name).type), 200)
        raise DataError(
            f"{path} has a column {name} of {listed}; it must be of texts, numbers or "
            "lists of them."
        )


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    """Yield a batch's rows.

    A number of single precision becomes the shortest decimal that means it: 0.1, not
    0.10000000149011612.
    """
    import pyarrow.types as types

    single = [
        name
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if types.is_float32(column.type) or types.is_float16(column.type)
    ]
    for row in batch.to_pylist():
        yield (
            row
            | {name: float(str(np.float32(row[name]))) for name in single if row[name] is not None}
            if single
            else row
        )


def _characters(column: Any) -> tuple[int, int]:
    """Return the total length of a column's values once unpacked, about, and the longest length."""
    import pyarrow.compute as compute
    import pyarrow.types as types

    if (
        types.is_list(column.type)
        or types.is_large_list(column.type)
        or types.is_fixed_size_list(column.type)
    ):
        column = column.flatten()
    if types.is_dictionary(column.type):
        lengths = compute.binary_length(column.dictionary).take(column.indices)
    elif (
        types.is_string(column.type)
        or types.is_large_string(column.type)
        or types.is_string_view(column.type)
    ):
        lengths = compute.binary_length(column)
    else:
        return _BYTES_OF_A_NUMBER * len(column), 0
    return int(compute.sum(lengths).as_py() or 0) + len(column), int(
        compute.max(lengths).as_py() or 0
    )
