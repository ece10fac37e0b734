"""A ledger's entries as a table that people and tools read: one row for each answer.

Knows Arrow and JSON.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from optimizer.errors import SettingsError
from serving.ledger.damage import sentence
from serving.ledger.inspection import read_segments
from serving.storage import Folder, split_place
from serving.storage.text import storable

COLUMNS: pa.Schema = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),  # in hexadecimal
        pa.field(
            "model", pa.string()
        ),  # null, as what follows to `raw`, for an answer of an old ledger that does not say
        pa.field("purpose", pa.string()),
        pa.field("messages", pa.string()),  # JSON: a list of {"role", "content"}
        pa.field("temperature", pa.float64()),
        pa.field("max_tokens", pa.int64()),
        pa.field("sample", pa.int64()),
        pa.field("raw", pa.bool_()),
        pa.field("text", pa.string(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("prompt_tokens", pa.int64()),  # null: nobody knows
        pa.field("completion_tokens", pa.int64()),
        pa.field("cached_tokens", pa.int64()),
        pa.field("metadata", pa.string(), nullable=False),  # JSON
        pa.field("recorded_at", pa.timestamp("us", "UTC")),
    ]
)
KINDS = (".parquet", ".jsonl")


def export(folder: Folder, file: str, report: Callable[[str], None] = lambda fault: None) -> int:
    """Write all answers to a path or URI that ends in .parquet or .jsonl.

    Args:
        folder: The ledger's folder.
        file: Where to write.
        report: Called with a sentence for each segment that is not read in full.

    Returns:
        The number of answers.

    Raises:
        SettingsError: If the ending is another.
        StorageError: If a file cannot be read or written.
    """
    if not file.endswith(KINDS):
        raise SettingsError(
            f"The format of {file} is unknown; end its name in {' or '.join(KINDS)}."
        )
    target, name = split_place(file)
    rows = list(_rows(folder, report))
    target.write(name, _parquet(rows) if file.endswith(".parquet") else _jsonl(rows))
    return len(rows)


def _rows(folder: Folder, report: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    seen: set[bytes] = set()
    for name, _, found in read_segments(folder, _WANTED):
        read = found
        for batch in found.batches:
            try:
                # Reversed, so that of two entries of a key the first one stays.
                rows = {row["key"]: _readable(row) for row in reversed(batch.to_pylist())}
            except (ValueError, KeyError, TypeError):
                # Only a batch without a checksum comes so far.
                read = read.without(batch)
                continue
            yield from (row for key, row in reversed(rows.items()) if key not in seen)
            seen.update(rows)
        if fault := sentence(name, read):
            report(fault)


_WANTED = (
    "key",
    "model",
    "purpose",
    "request",
    "text",
    "truncated",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "metadata",
    "recorded_at",
)


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    request = json.loads(row.pop("request") or "null")
    shown = (
        dict.fromkeys(COLUMNS.names)
        | row
        | {
            "key": row["key"].hex(),
            "metadata": row["metadata"].decode(),
            "text": storable(row["text"].decode("utf-8", "surrogatepass")),
        }
    )
    if request:
        messages = storable(json.dumps(request["messages"], ensure_ascii=False))
        shown |= request["sampling"] | {
            "messages": messages,
            "sample": request["sample"],
            "raw": request["raw"],
        }
    return shown


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=COLUMNS), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    lines = []
    for row in rows:
        moment = row["recorded_at"]
        shown = row | {"recorded_at": moment.isoformat() if moment else None}
        lines.append(json.dumps(shown, ensure_ascii=False) + "\n")
    return "".join(lines).encode()
