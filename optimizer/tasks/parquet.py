"""The reader of .parquet files, which holds one bounded piece in memory at a time.

Neither the footer of a parquet file nor its small size limits what it unpacks to: the footer is
checked first, the columns are read in batches that stay packed, and a batch is unpacked only after
its texts were counted.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from optimizer.errors import DataError, shortened
from optimizer.tasks.bounds import ReadLimits, TextCounter, check_size, too_much
from optimizer.tasks.columns import Columns
from optimizer.tasks.tables import need_columns

MOST_COLUMNS = 10_000
"""Maximum number of columns of any kind in one parquet file [ours]."""
_BATCH_ROWS = 64
_BYTES_OF_A_NUMBER = 8


def parquet_rows(
    path: Path, limits: ReadLimits, columns: Columns, unused: set[str], answered: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a .parquet file with their needed columns.

    The names of all other columns are added to `unused`.

    Raises:
        DataError: If the file is not parquet, lacks a column, or is beyond a limit.
    """
    # Imported here: the other forms need no Arrow, and it is slow to load.
    import pyarrow.parquet

    check_size(path, limits.file_bytes)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            needed = _checked_footer(path, file, limits, columns, answered)
            leaves = _leaves(file, needed)
        unused.update(name for name in names if name not in needed)
        if not leaves:
            return
        # Packed texts stay packed: a text that stands there once is once in memory until its batch
        # was counted.
        with pyarrow.parquet.ParquetFile(
            path, read_dictionary=[leaf for leaf, _ in leaves], pre_buffer=False
        ) as file:
            packed = TextCounter(path, limits)
            for batch in file.iter_batches(
                _BATCH_ROWS, columns=[leaf for leaf, _ in leaves], use_threads=False
            ):
                for column in batch.columns:
                    packed.add(*_characters(column))
                yield from _rows(batch)
    except (pyarrow.ArrowException, KeyError, OSError) as problem:
        raise _unreadable(path, problem) from problem


def parquet_rows_at(
    path: Path, limits: ReadLimits, numbers: Collection[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield whole rows by their numbers, from 1, with these.

    A column of bytes, such as of pictures, is left out, and so is one that is beyond the limits: no
    part of an example is in it.

    Raises:
        DataError: The file cannot be read, or the rows are beyond a limit.
    """
    import pyarrow.parquet

    wanted, at = sorted(numbers), 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            leaves = [leaf for leaf, _ in _leaves(file, _readable(file, limits))]
        with pyarrow.parquet.ParquetFile(path, read_dictionary=leaves, pre_buffer=False) as file:
            packed = TextCounter(path, limits)
            for batch in file.iter_batches(_BATCH_ROWS, columns=leaves, use_threads=False):
                here = [number for number in wanted if at < number <= at + batch.num_rows]
                chosen = batch.take(pyarrow.array([number - at - 1 for number in here], "int64"))
                for column in chosen.columns:
                    packed.add(*_characters(column))
                yield from zip(here, _rows(chosen), strict=True)
                at += batch.num_rows
                if not wanted or at >= wanted[-1]:
                    break
    except (pyarrow.ArrowException, KeyError, OSError) as problem:
        raise _unreadable(path, problem) from problem


def _unreadable(path: Path, problem: Exception) -> DataError:
    said = shortened(str(problem)).rstrip(".")
    return DataError(f"{path} is not a parquet file that can be read: {said}.")


def _leaves(file: Any, names: Collection[str]) -> list[tuple[str, int]]:
    """Return the parquet names and places of what these columns hold."""
    paths = [file.schema.column(place).path for place in range(file.metadata.num_columns)]
    return [
        (path, place)
        for place, path in enumerate(paths)
        if any(path == name or path.startswith(f"{name}.") for name in names)
    ]


def _size(file: Any, places: Collection[int]) -> tuple[int, int]:
    """Return the unpacked bytes and the values of columns at these places, as the footer claims."""
    about = file.metadata
    chunks = [
        about.row_group(group).column(place)
        for group in range(about.num_row_groups)
        for place in places
    ]
    return (
        sum(max(0, chunk.total_uncompressed_size) for chunk in chunks),
        sum(chunk.num_values for chunk in chunks),
    )


def _checked_footer(
    path: Path, file: Any, limits: ReadLimits, columns: Columns, answered: bool
) -> set[str]:
    """Check the footer, and return the needed columns.

    Raises:
        DataError: If the footer alone shows that the file is beyond a limit.
    """
    about, schema = file.metadata, file.schema_arrow
    if about.num_rows > limits.rows:
        raise too_much(path, "examples", limits.rows)
    if about.num_columns > MOST_COLUMNS:
        raise too_much(path, "columns", MOST_COLUMNS)
    needed = need_columns(path, schema.names, columns, answered)
    for name in sorted(needed):
        _check_column(path, name, schema)
    size, values = _size(file, [place for _, place in _leaves(file, needed)])
    if size > limits.characters:
        raise too_much(path, "bytes of inputs and targets together", limits.characters)
    if values > limits.values:
        raise too_much(path, "values", limits.values)
    return needed


def _readable(file: Any, limits: ReadLimits) -> list[str]:
    """Return the columns that whole rows are made of."""
    schema, found, left, values = file.schema_arrow, list[str](), limits.characters, limits.values
    for name in dict.fromkeys(schema.names):
        # Of two columns with one name neither can be meant.
        if schema.get_field_index(name) < 0 or _has_bytes(schema.field(name).type):
            continue
        size, count = _size(file, [place for _, place in _leaves(file, [name])])
        if size <= left and count <= values:
            found.append(name)
            left, values = left - size, values - count
    return found


def _check_column(path: Path, name: str, schema: Any) -> None:
    if _has_bytes(schema.field(name).type):
        listed = shortened(str(schema.field(name).type), 200)
        raise DataError(
            f"{path} has a column {name} of {listed}; it must be of texts, numbers or "
            "lists of them."
        )


def _has_bytes(kind: Any) -> bool:
    """Return whether values of a type hold bytes, or what is no value of a table."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _has_bytes(kind.value_type)
    if types.is_map(kind):
        return _has_bytes(kind.key_type) or _has_bytes(kind.item_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _has_bytes(kind.value_type)
    if types.is_struct(kind):
        return any(_has_bytes(kind.field(place).type) for place in range(kind.num_fields))
    plain = (
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_integer,
        types.is_floating,
        types.is_boolean,
        types.is_null,
        types.is_decimal,
        types.is_temporal,
    )
    return not any(is_one(kind) for is_one in plain)


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

    kind = column.type
    if types.is_map(kind):
        return _together([*map(_characters, (column.keys, column.items))], len(column))
    if types.is_struct(kind):
        return _together([_characters(one) for one in column.flatten()], len(column))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        column = column.flatten()
        if types.is_struct(column.type) or types.is_nested(column.type):
            return _together([_characters(column)], 0)
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


def _together(parts: list[tuple[int, int]], items: int) -> tuple[int, int]:
    total = sum(size for size, _ in parts) + _BYTES_OF_A_NUMBER * items
    return total, max((longest for _, longest in parts), default=0)
