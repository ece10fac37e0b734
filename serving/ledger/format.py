"""The format of the ledger's files.

A segment is an Arrow IPC stream, compressed with zstd, of entries in the order in which they were
recorded. Every batch carries a checksum (checksums.py), so that bytes that have changed on the disk
are found; old segments have none. The segment that grows exists in two copies that are written by
turns, each time whole: the copy that holds what was acknowledged last is never the one that is
being written, so that nothing is lost even where a write is not atomic. What was serialized once is
reused as bytes. Any Arrow reader can read a segment. Knows no folder, no lock, and not which answer
of a key stands.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from serving.ledger.checksums import CHECKED, END, FAULTS, Scan, blank, scan, stamped
from serving.ledger.schema import SCHEMA_VERSION, Paid, Row, check_row, metadata_bytes, request_text
from serving.storage.text import storable

ENDING = ".arrows"
SEGMENT_BYTES = 256 * 2**10
"""A segment that has grown to this stays as it is, and a new one is started: so a commit never
writes much more than this.
"""
_VERSION = b"promptray_ledger"
_ANSWERS = (
    pa.field("key", pa.binary(32), nullable=False),
    # Text is bytes: an endpoint can send lone surrogates, which a column of strings refuses.
    pa.field("text", pa.binary(), nullable=False),
    pa.field("truncated", pa.bool_(), nullable=False),
    pa.field(
        "prompt_tokens", pa.int64()
    ),  # null: nobody knows. Segments from before that have 0 there
    pa.field("completion_tokens", pa.int64()),
    pa.field("metadata", pa.binary(), nullable=False),
)
SCHEMA = pa.schema(
    [
        *_ANSWERS,
        # A column that was added later may be null and is no new version: the answers of older
        # segments stay paid for.
        pa.field("cached_tokens", pa.int64()),
        pa.field("model", pa.string()),
        pa.field("purpose", pa.string()),
        pa.field("request", pa.string()),
        pa.field("recorded_at", pa.timestamp("us", "UTC")),
    ],
    metadata={_VERSION: str(SCHEMA_VERSION), **CHECKED},
)
ANSWER_COLUMNS = (*(field.name for field in _ANSWERS), "cached_tokens", "model")
"""Columns that a replay needs. The requests are most of the bytes, and are left compressed."""
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")
State = Literal["whole", "torn", "damaged", "foreign"]
"""`torn` ends too early, as a write that was cut; of a `damaged` one bytes have changed;
`foreign` is no segment, or one of another version.
"""


@dataclass(frozen=True)
class Contents:
    """The readable content of a file: of a torn or damaged one, the batches that are sound."""

    batches: tuple[Any, ...]
    state: State
    lost_batches: int = 0
    """Minimum number of batches that could not be read."""
    lost_rows: int = 0
    """Minimum number of entries in them: it is not known of a batch whose header is damaged."""
    unchecked: int = 0
    """Entries that were read and have no checksum, as all in older segments."""

    @property
    def rows(self) -> int:
        """Return the number of entries that were read."""
        return sum(batch.num_rows for batch in self.batches)

    def without(self, batch: Any) -> "Contents":
        """Return the contents with a batch counted as lost, whose rows cannot be decoded."""
        left = tuple(one for one in self.batches if one is not batch)
        return replace(
            self,
            batches=left,
            state="damaged",
            lost_batches=self.lost_batches + 1,
            lost_rows=self.lost_rows + batch.num_rows,
        )


@dataclass(frozen=True)
class OpenSegment:
    """The segment that grows, as it stands after `commits` commits."""

    base: str
    body: bytes = b""
    commits: int = 0

    @classmethod
    def numbered(cls, number: int) -> "OpenSegment":
        """Return a new segment.

        Its name is no other writer's, even if that has the same number.
        """
        # Unique, so that a writer that was taken for dead cannot overwrite it.
        return cls(f"{number:06d}-{uuid.uuid4().hex[:8]}")

    def with_batch(self, batch: Any) -> "OpenSegment":
        """Return the segment with one more batch."""
        return OpenSegment(self.base, self.body + _message(batch), self.commits + 1)

    @property
    def name(self) -> str:
        """Return the name of the copy to write."""
        return f"{self.base}.{'ab'[self.commits % 2]}{ENDING}"

    @property
    def other_name(self) -> str:
        """Return the name of the copy that held everything up to the commit before."""
        return f"{self.base}.{'ba'[self.commits % 2]}{ENDING}"

    def to_bytes(self) -> bytes:
        """Return the whole file."""
        return _HEAD + self.body + END


def batch_of(paid_by_key: Mapping[bytes, Paid], now: datetime) -> Any:
    """Return the entries as a record batch of SCHEMA."""
    all_paid = list(paid_by_key.values())
    answers = [paid.answer for paid in all_paid]
    return pa.record_batch(
        [
            pa.array(list(paid_by_key), pa.binary(32)),
            pa.array(
                [answer.text.encode("utf-8", "surrogatepass") for answer in answers], pa.binary()
            ),
            pa.array([answer.truncated for answer in answers], pa.bool_()),
            pa.array([answer.prompt_tokens for answer in answers], pa.int64()),
            pa.array([answer.completion_tokens for answer in answers], pa.int64()),
            pa.array(
                [metadata_bytes(answer) for answer in answers],
                pa.binary(),
            ),
            pa.array([answer.cached_tokens for answer in answers], pa.int64()),
            pa.array([storable(paid.model) for paid in all_paid], pa.string()),
            pa.array([paid.request.purpose for paid in all_paid], pa.string()),
            pa.array([request_text(paid.request) for paid in all_paid], pa.string()),
            pa.array([now] * len(all_paid), pa.timestamp("us", "UTC")),
        ],
        schema=SCHEMA,
    )


def whole(batches: Iterable[Any]) -> bytes:
    """Return a file of batches of SCHEMA."""
    return _HEAD + b"".join(map(_message, batches)) + END


def contents(data: bytes, columns: Sequence[str] = tuple(SCHEMA.names)) -> Contents:
    """Return the batches of a file with those columns, in their order.

    A column that an older segment lacks is null. It never raises.
    """
    found = scan(data, _HEAD)
    schema = _schema_of(found.head)
    if schema is None or not _is_ours(schema):
        # A file of which not even the beginning is left counts as a segment of ours, too.
        ours = not data or _VERSION in data[:4096] or _HEAD.startswith(data[:64])
        if schema is not None or not ours:
            return Contents((), "foreign")
        return Contents(
            (), "torn" if found.torn else "damaged", found.lost_batches, found.lost_rows
        )
    try:
        stream = data if found.whole else b"".join([found.head, *found.messages, END])
        batches = [_with_columns(batch, columns) for batch in _read(stream, schema, columns)]
    except FAULTS:
        batches = _read_one_by_one(found, schema, columns)
    unchecked = sum(
        batch.num_rows for batch, without in zip(batches, found.unchecked, strict=True) if without
    )
    state: State = "damaged" if found.damaged else "torn" if found.torn else "whole"
    return Contents(tuple(batches), state, found.lost_batches, found.lost_rows, unchecked)


def answers(batch: Any) -> Iterator[Row]:
    """Iterate over the rows of a batch of ANSWER_COLUMNS.

    Raises:
        ValueError: a row cannot be decoded.
    """
    for row in zip(*(batch.column(name).to_pylist() for name in ANSWER_COLUMNS), strict=True):
        check_row(row)
        yield row


def place_in_order(name: str) -> str:
    """Return the part of a segment's name that orders it.

    A segment that replaces others has that of the first of them.
    """
    return name.partition(".")[0]


def number_of(name: str) -> int:
    """Return a segment's number; 0 for another name."""
    head = name.partition("-")[0]
    return int(head) if head.isascii() and head.isdigit() else 0


def _message(batch: Any) -> bytes:
    """Return a batch as it stands in a stream, between the schema and the end."""
    return stamped(_HEAD, _stream([batch])[len(_HEAD) : -len(END)])


def _stream(batches: Sequence[Any]) -> bytes:
    """Return a file of batches without checksums."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA, options=_OPTIONS) as stream:
        for batch in batches:
            stream.write_batch(batch, custom_metadata=blank(batch.num_rows))
    return bytes(sink.getvalue().to_pybytes())


def _read(stream: bytes, schema: Any, columns: Sequence[str]) -> Iterator[Any]:
    wanted = [index for index, name in enumerate(schema.names) if name in columns]
    for batch in pa.ipc.open_stream(
        stream, options=pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
    ):
        # Without a checksum, damaged offsets would be followed blindly.
        batch.validate(full=True)
        yield batch


def _read_one_by_one(found: Scan, schema: Any, columns: Sequence[str]) -> list[Any]:
    """Return the batches that can be read, where one without a checksum cannot.

    The others are counted as lost in `found`.
    """
    batches, unchecked = [], []
    for message, without in zip(found.messages, found.unchecked, strict=True):
        try:
            batches += [
                _with_columns(batch, columns)
                for batch in _read(found.head + message + END, schema, columns)
            ]
            unchecked.append(without)
        except FAULTS:
            found.damaged = True
            found.lost_batches += 1
    found.unchecked = unchecked
    return batches


def _schema_of(head: bytes) -> Any:
    """Return the schema; None where it cannot be read."""
    try:
        return pa.ipc.open_stream(head + END).schema if head else None
    except FAULTS:
        return None


def _is_ours(schema: Any) -> bool:
    if (schema.metadata or {}).get(_VERSION) != str(SCHEMA_VERSION).encode():
        return False
    kind_by_name = {field.name: field.type for field in schema}
    known = set(schema.names) <= set(SCHEMA.names) and len(schema.names) == len(kind_by_name)
    return (
        known
        and {field.name for field in _ANSWERS} <= set(kind_by_name)
        and all(SCHEMA.field(name).type == kind for name, kind in kind_by_name.items())
    )


def _with_columns(batch: Any, columns: Sequence[str]) -> Any:
    """Return the columns in their order, with nulls for those that are missing."""
    fields = [SCHEMA.field(name) for name in columns]
    cells = [
        batch.column(field.name)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in fields
    ]
    return pa.record_batch(cells, schema=pa.schema(fields, metadata=SCHEMA.metadata))


_HEAD = _stream([])[: -len(END)]
