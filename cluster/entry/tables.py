"""Data in memory, of any of the usual kinds, as files that an experiment reads.

Nothing here depends on pandas, polars or datasets: each of them gives an Arrow table.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from optimizer.errors import DataError
from serving.storage import Folder

DATA_FOLDER = "data"
"""Folder of a results folder for data that was given in memory."""
_SPLITS = {"train": "train", "dev": "dev", "validation": "dev", "valid": "dev", "test": "test"}


def source_of(data: Any, out: Folder, name: str) -> str | dict[str, str]:
    """Return what a task names as its source; data in memory is written into the results folder.

    Args:
        data: A path, a table (pandas, polars, Arrow, datasets), a list of rows as mappings, or a
            mapping of splits to any of these.
        out: The results folder.
        name: Name of the file, without its ending.

    Raises:
        DataError: It is nothing of these, or the folder holds other data under the name.
        StorageError: The folder cannot be written.
    """
    if isinstance(data, str | Path):
        return str(data)
    if isinstance(data, Mapping):
        unknown = [str(key) for key in data if key not in _SPLITS]
        if unknown:
            raise DataError(
                f"Data as a mapping has the splits train, dev and test, not {', '.join(unknown)}; "
                "give rows as a list of mappings."
            )
        return {
            _SPLITS[key]: str(source_of(part, out, f"{name}-{_SPLITS[key]}"))
            for key, part in data.items()
        }
    file_name, content = _as_file(data, name)
    folder = (out / DATA_FOLDER).absolute()
    if folder.exists(file_name) and folder.read(file_name) != content:
        raise DataError(
            f"{folder.place_of(file_name)} holds other data than was given; name another folder "
            "with out."
        )
    folder.write(file_name, content)
    if not folder.local:
        raise DataError("Data in memory needs a results folder on this machine; name one with out.")
    return folder.place_of(file_name)


def _as_file(data: Any, name: str) -> tuple[str, bytes]:
    """Return the name and the bytes of a file with the data: parquet, or JSON lines of odd rows."""
    table = _as_table(data)
    if table is None:
        rows = _as_rows(data)
        try:
            table = pa.Table.from_pylist(rows)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            # Values of several types under one name are no column.
            lines = (json.dumps(row, ensure_ascii=False, default=str) for row in rows)
            return f"{name}.jsonl", "".join(f"{line}\n" for line in lines).encode(
                "utf-8", "backslashreplace"
            )
    if not table.num_rows:
        raise DataError("The data has no rows.")
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), sink)
    return f"{name}.parquet", bytes(sink.getvalue().to_pybytes())


def _as_table(data: Any) -> pa.Table | None:
    """Return data that is a table as an Arrow table; None for rows."""
    if isinstance(data, pa.Table):
        return data
    kind = f"{type(data).__module__}.{type(data).__name__}"
    if kind.startswith("datasets."):
        return data.with_format("arrow")[:]
    if kind.startswith("pandas."):
        return pa.Table.from_pandas(data, preserve_index=False)
    if hasattr(data, "to_arrow"):  # polars, and others
        found = data.to_arrow()
        return found if isinstance(found, pa.Table) else pa.table(found)
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    return None


def _as_rows(data: Any) -> list[dict[str, Any]]:
    rows = list(data) if isinstance(data, Iterable) else None
    if rows is None or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(
            f"Data cannot be a {type(data).__name__}; give a path, a DataFrame, an Arrow table, a "
            "datasets.Dataset or a list of rows as mappings."
        )
    if not rows:
        raise DataError("The data has no rows.")
    return [{str(key): value for key, value in row.items()} for row in rows]
