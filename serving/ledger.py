"""The durable record of finished model calls: what was paid for once is never paid for again. Knows no model and no Ray.

On disk a ledger is a folder of segments, one a writer session: Arrow IPC streams to which record batches are only appended, each
followed by fsync. A crash can only tear the end of a segment, and what is whole before it is read. Only Completions are kept;
a Failed is asked again next time.
"""

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from optimizer.errors import StorageError
from optimizer.types import Completion, Request

SCHEMA_VERSION = 1
"""Part of every key and of every segment: answers of another version are never mistaken for ours."""
SCHEMA = pa.schema(
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


def key_of(model: str, request: Request) -> bytes:
    """32 bytes that depend on all that decides an answer (model and revision, messages, sampling, sample), not on the purpose."""
    content = [
        SCHEMA_VERSION, model, [(message.role, message.content) for message in request.messages],
        float(request.sampling.temperature), request.sampling.max_tokens, request.sample]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).digest()


class Ledger:
    """The record in a folder. Safe to use from several threads; several processes may write to one folder at the same time,
    each to its own segment, but see each other's answers only when they open it again.

    Raises StorageError where the folder cannot be read or written.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._segment: tuple[IO[bytes], Any] | None = None
        self._answer_by_key: dict[bytes, Completion] = {}
        self.torn: list[Path] = []
        """Segments whose end could not be read."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for segment in sorted(self.folder.glob("*.arrows")):
                self._read(segment)
        except OSError as problem:
            raise StorageError(f"The ledger in {self.folder} cannot be read ({problem.strerror or problem}).") from problem

    def __len__(self) -> int:
        return len(self._answer_by_key)

    def get(self, key: bytes) -> Completion | None:
        return self._answer_by_key.get(key)

    def append(self, answer_by_key: Mapping[bytes, Completion]) -> None:
        """Puts answers on disk, and returns when they are there. For a key that is known the first answer stands."""
        with self._lock:
            new = {key: answer for key, answer in answer_by_key.items() if key not in self._answer_by_key}
            if new:
                self._write(new)
                self._answer_by_key.update(new)

    def close(self) -> None:
        with self._lock:
            self._leave_segment()

    def _write(self, new: Mapping[bytes, Completion]) -> None:
        try:
            file, writer = self._segment or self._new_segment()
            writer.write_batch(_to_batch(new))
            file.flush()
            os.fsync(file.fileno())
        except OSError as problem:
            # What is half written ends this segment: whatever follows must not stand behind a tear.
            self._leave_segment()
            raise StorageError(f"The ledger in {self.folder} cannot be written ({problem.strerror or problem}).") from problem

    def _new_segment(self) -> tuple[IO[bytes], Any]:
        number = 1 + max((_number(path) for path in self.folder.glob("*.arrows")), default=0)
        file = (self.folder / f"{number:06d}-{uuid.uuid4().hex[:8]}.arrows").open("xb")
        self._segment = (file, pa.ipc.new_stream(file, SCHEMA))
        _sync_folder(self.folder)
        return self._segment

    def _leave_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment:
            try:
                segment[1].close()
                segment[0].close()
            except OSError:
                return  # the end mark is a courtesy: a segment without it reads the same

    def _read(self, segment: Path) -> None:
        with segment.open("rb") as file:
            try:
                reader = pa.ipc.open_stream(file)
                if not reader.schema.equals(SCHEMA, check_metadata=True):
                    return
                for batch in reader:
                    for key, answer in _from_batch(batch):
                        self._answer_by_key.setdefault(key, answer)
            except (pa.ArrowException, OSError, ValueError):
                self.torn.append(segment)


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
        ],
        schema=SCHEMA)


def _from_batch(batch: Any) -> list[tuple[bytes, Completion]]:
    return [
        (row["key"], Completion(
            row["text"].decode("utf-8", "surrogatepass"), row["truncated"], row["prompt_tokens"], row["completion_tokens"],
            from_ledger=True, metadata=json.loads(row["metadata"])))
        for row in batch.to_pylist()]


def _number(segment: Path) -> int:
    head = segment.name.partition("-")[0]
    return int(head) if head.isdigit() else 0


def _sync_folder(folder: Path) -> None:
    """Makes a new file's name durable. Not every file system can do this for a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)

