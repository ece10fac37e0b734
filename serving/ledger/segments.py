"""The ledger's files. A segment is an Arrow IPC stream, compressed with zstd, of entries in the order in which they were recorded.

The segment that grows exists in two copies that are written by turns, each time whole: the copy that holds what was acknowledged
last is never the one that is being written, so that nothing is lost even where a write is not atomic. What was serialized once is
kept as bytes. Any Arrow reader can read a segment. Knows no folder, no lock, and not which answer of a key stands.
"""

import json
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from optimizer.types import Completion
from serving.ledger.keys import SCHEMA_VERSION, Paid, request_text

ENDING = ".arrows"
SEGMENT_BYTES = 256 * 2**10
"""A segment that has grown to this is left alone, and a new one begun: so a commit never writes much more than this."""
_VERSION = b"promptray_ledger"
_ANSWERS = (
    pa.field("key", pa.binary(32), nullable=False),
    # Text is bytes: an endpoint can send lone surrogates, which a column of strings refuses.
    pa.field("text", pa.binary(), nullable=False),
    pa.field("truncated", pa.bool_(), nullable=False),
    pa.field("prompt_tokens", pa.int64(), nullable=False),
    pa.field("completion_tokens", pa.int64(), nullable=False),
    pa.field("metadata", pa.binary(), nullable=False))
SCHEMA = pa.schema(
    [
        *_ANSWERS,
        # A column that was added later may be null and is no new version: the answers of older segments stay paid for.
        pa.field("cached_tokens", pa.int64()),
        pa.field("model", pa.string()),
        pa.field("purpose", pa.string()),
        pa.field("request", pa.string()),
        pa.field("recorded_at", pa.timestamp("us", "UTC")),
    ],
    metadata={_VERSION: str(SCHEMA_VERSION)})
ANSWER_COLUMNS = (*(field.name for field in _ANSWERS), "cached_tokens", "model")
"""What a replay needs. The requests are most of the bytes, and are left compressed."""
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
State = Literal["whole", "torn", "foreign"]
"""`torn` ends too early, or is damaged; `foreign` is no segment, or one of another version."""


@dataclass(frozen=True)
class Contents:
    """What could be read of a file: of a torn one, what is whole before the tear."""

    batches: tuple[Any, ...]
    state: State

    @property
    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches)


@dataclass(frozen=True)
class OpenSegment:
    """The segment that grows, as it stands after `commits` commits."""

    base: str
    body: bytes = b""
    commits: int = 0

    @classmethod
    def numbered(cls, number: int) -> "OpenSegment":
        """A new one. Its name is no other writer's, even if that has the same number."""
        return cls(f"{number:06d}-{uuid.uuid4().hex[:8]}")

    def with_batch(self, batch: Any) -> "OpenSegment":
        return OpenSegment(self.base, self.body + _message(batch), self.commits + 1)

    @property
    def name(self) -> str:
        """Of the copy to write."""
        return f"{self.base}.{'ab'[self.commits % 2]}{ENDING}"

    @property
    def other_name(self) -> str:
        """Of the copy that held everything up to the commit before."""
        return f"{self.base}.{'ba'[self.commits % 2]}{ENDING}"

    def to_bytes(self) -> bytes:
        return _HEAD + self.body + _END


def batch_of(paid_by_key: Mapping[bytes, Paid], now: datetime) -> Any:
    """The entries as a record batch of SCHEMA."""
    all_paid = list(paid_by_key.values())
    answers = [paid.answer for paid in all_paid]
    return pa.record_batch(
        [
            pa.array(list(paid_by_key), pa.binary(32)),
            pa.array([answer.text.encode("utf-8", "surrogatepass") for answer in answers], pa.binary()),
            pa.array([answer.truncated for answer in answers], pa.bool_()),
            pa.array([answer.prompt_tokens for answer in answers], pa.int64()),
            pa.array([answer.completion_tokens for answer in answers], pa.int64()),
            pa.array([json.dumps(dict(answer.metadata)).encode() if answer.metadata else b"{}" for answer in answers], pa.binary()),
            pa.array([answer.cached_tokens for answer in answers], pa.int64()),
            pa.array([_storable(paid.model) for paid in all_paid], pa.string()),
            pa.array([paid.request.purpose for paid in all_paid], pa.string()),
            pa.array([request_text(paid.request) for paid in all_paid], pa.string()),
            pa.array([now] * len(all_paid), pa.timestamp("us", "UTC")),
        ],
        schema=SCHEMA)


def whole(batches: Sequence[Any]) -> bytes:
    """A file of batches of SCHEMA."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA, options=_OPTIONS) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def contents(data: bytes, columns: Sequence[str] = tuple(SCHEMA.names)) -> Contents:
    """The batches of a file with those columns, in their order; a column that an older segment lacks is null. Never raises."""
    batches: list[Any] = []
    try:
        schema = pa.ipc.open_stream(data).schema
        if not _is_ours(schema):
            return Contents((), "foreign")
        wanted = [index for index, name in enumerate(schema.names) if name in columns]
        for batch in pa.ipc.open_stream(data, options=pa.ipc.IpcReadOptions(included_fields=wanted)):
            batch.validate(full=True)  # damaged offsets would be followed blindly
            batches.append(_with_columns(batch, columns))
    except (pa.ArrowException, OSError, ValueError):
        return Contents(tuple(batches), "torn" if _looks_ours(data) else "foreign")
    # One that is cut between two batches reads to its end without a complaint.
    return Contents(tuple(batches), "whole" if data.endswith(_END) else "torn")


def answers(batch: Any) -> Iterator[tuple[bytes, str, Completion]]:
    """Key, model ("" where an old segment does not say) and answer of every row of a batch of ANSWER_COLUMNS.

    Raises ValueError where a row cannot be decoded.
    """
    columns = (batch.column(name).to_pylist() for name in ANSWER_COLUMNS)
    for key, text, truncated, prompt, completion, metadata, cached, model in zip(*columns, strict=True):
        said = {} if metadata == b"{}" else json.loads(metadata)
        answer = Completion(text.decode("utf-8", "surrogatepass"), truncated, prompt, completion, True, said, cached)
        yield key, sys.intern(model or ""), answer


def place_in_order(name: str) -> str:
    """The part of a segment's name that orders it: a segment that replaces others keeps that of the first of them."""
    return name.partition(".")[0]


def number_of(name: str) -> int:
    """0 for a name that is none of ours."""
    head = name.partition("-")[0]
    return int(head) if head.isascii() and head.isdigit() else 0


def _message(batch: Any) -> bytes:
    """A batch as it stands in a stream, between the schema and the end."""
    return whole([batch])[len(_HEAD) : -len(_END)]


def _is_ours(schema: Any) -> bool:
    if (schema.metadata or {}).get(_VERSION) != str(SCHEMA_VERSION).encode():
        return False
    kind_by_name = {field.name: field.type for field in schema}
    return set(schema.names) <= set(SCHEMA.names) and all(kind_by_name.get(field.name) == field.type for field in _ANSWERS)


def _looks_ours(data: bytes) -> bool:
    """Is it the beginning of a segment? One of which not even that is left is taken for ours too."""
    return not data or _VERSION in data[:4096] or _HEAD.startswith(data[:64])


def _with_columns(batch: Any, columns: Sequence[str]) -> Any:
    """The columns in their order, with nulls for those that are not there."""
    fields = [SCHEMA.field(name) for name in columns]
    cells = [
        batch.column(field.name) if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type) for field in fields]
    return pa.record_batch(cells, schema=pa.schema(fields, metadata=SCHEMA.metadata))


def _storable(model: str) -> str:
    return model.encode("utf-8", "backslashreplace").decode()


_HEAD = whole([])[: -len(_END)]
