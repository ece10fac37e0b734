"""The durable record of finished model calls: what was paid for once is never paid for again. Knows no model and no Ray.

A ledger is a folder of segments, on a disk or on an object store: Arrow IPC streams of a few hundred kilobytes. A segment is
always written whole, with what it held before, so that a crash costs nothing that was acknowledged and tears no file. Should a file
be torn all the same, what is whole before the tear is read. Only Completions are kept; a Failed is asked again next time.
"""

import hashlib
import json
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from optimizer.types import Completion, Request
from serving.storage import Folder, open_folder

SCHEMA_VERSION = 1
"""Part of every key and of every segment: answers of another version are never mistaken for ours."""
ENDING = ".arrows"
SEGMENT_BYTES = 256 * 2**10
"""A segment that has grown to this is left alone, and a new one begun: so a commit never writes much more than this."""
READERS = 16
"""Segments that are fetched at once when a ledger is opened."""
_FIRST_SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(32), nullable=False),
        # Text is bytes: an endpoint can send lone surrogates, which a column of strings refuses.
        pa.field("text", pa.binary(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),
        pa.field("completion_tokens", pa.int64(), nullable=False),
        pa.field("metadata", pa.binary(), nullable=False),
    ],
    metadata={"promptray_ledger": str(SCHEMA_VERSION)})
SCHEMA = _FIRST_SCHEMA.append(pa.field("cached_tokens", pa.int64()))
_READABLE = (SCHEMA, _FIRST_SCHEMA)
"""A column that is added later may be null and is no new version: the answers of older segments stay paid for."""


def key_of(model: str, request: Request) -> bytes:
    """32 bytes that depend on all that decides an answer (model and revision, messages, sampling, sample), not on the purpose."""
    content = [
        SCHEMA_VERSION, model, [(message.role, message.content) for message in request.messages],
        float(request.sampling.temperature), request.sampling.max_tokens, request.sample,
        *(["raw"] if request.raw else [])]  # named only where it holds: the keys of chats stay what they were
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).digest()


class Ledger:
    """The record in a folder. Safe to use from several threads; several processes may write to one folder at the same time,
    each to its own segments, but see each other's answers only when they open it again.

    Raises StorageError where the folder cannot be read or written.
    """

    def __init__(self, folder: Folder | Path | str) -> None:
        self.folder = open_folder(folder)
        self._lock = threading.Lock()
        self._segment: _Segment | None = None
        self._answer_by_key: dict[bytes, Completion] = {}
        self.torn: list[str] = []
        """Segments that could not be read to their end."""
        names = self.folder.names(ENDING)
        self._last_number = max(map(_number, names), default=0)
        with ThreadPoolExecutor(READERS) as pool:  # on a store each file is a journey
            for name, data in zip(names, pool.map(self.folder.read, names), strict=True):
                self._read(name, data)

    def __len__(self) -> int:
        return len(self._answer_by_key)

    def get(self, key: bytes) -> Completion | None:
        return self._answer_by_key.get(key)

    def append(self, answer_by_key: Mapping[bytes, Completion]) -> None:
        """Makes answers durable, and returns when they are. For a key that is known the first answer stands."""
        with self._lock:
            new = {key: answer for key, answer in answer_by_key.items() if key not in self._answer_by_key}
            if new:
                self._write(_to_batch(new))
                self._answer_by_key.update(new)

    def _write(self, batch: Any) -> None:
        segment = self._segment or self._new_segment()
        longer = _Segment(segment.name, (*segment.batches, batch))
        data = longer.to_bytes()
        self.folder.write(longer.name, data)  # a failed write changes nothing here, and the next one replaces what it left
        self._segment = longer if len(data) < SEGMENT_BYTES else None

    def _new_segment(self) -> "_Segment":
        self._last_number += 1
        return _Segment(f"{self._last_number:06d}-{uuid.uuid4().hex[:8]}{ENDING}", ())

    def _read(self, name: str, data: bytes) -> None:
        try:
            reader = pa.ipc.open_stream(data)
            if not any(reader.schema.equals(schema, check_metadata=True) for schema in _READABLE):
                return
            for batch in reader:
                for key, answer in _from_batch(batch):
                    self._answer_by_key.setdefault(key, answer)
        except (pa.ArrowException, OSError, ValueError):
            self.torn.append(name)


@dataclass(frozen=True)
class _Segment:
    """The file that is being written to, as it stands."""

    name: str
    batches: tuple[Any, ...]

    def to_bytes(self) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as stream:
            for batch in self.batches:
                stream.write_batch(batch)
        return bytes(sink.getvalue().to_pybytes())


def _to_batch(answer_by_key: Mapping[bytes, Completion]) -> Any:
    rows = list(answer_by_key.items())
    return pa.record_batch(
        [
            pa.array([key for key, _ in rows], pa.binary(32)),
            pa.array([answer.text.encode("utf-8", "surrogatepass") for _, answer in rows], pa.binary()),
            pa.array([answer.truncated for _, answer in rows], pa.bool_()),
            pa.array([answer.prompt_tokens for _, answer in rows], pa.int64()),
            pa.array([answer.completion_tokens for _, answer in rows], pa.int64()),
            pa.array([json.dumps(dict(answer.metadata)).encode() for _, answer in rows], pa.binary()),
            pa.array([answer.cached_tokens for _, answer in rows], pa.int64()),
        ],
        schema=SCHEMA)


def _from_batch(batch: Any) -> list[tuple[bytes, Completion]]:
    return [
        (row["key"], Completion(
            row["text"].decode("utf-8", "surrogatepass"), row["truncated"], row["prompt_tokens"], row["completion_tokens"],
            from_ledger=True, metadata=json.loads(row["metadata"]), cached_tokens=row.get("cached_tokens")))
        for row in batch.to_pylist()]


def _number(name: str) -> int:
    head = name.partition("-")[0]
    return int(head) if head.isdigit() else 0
