"""The ledger of one process: a folder of segments, and all its answers in memory, packed.

An answer is on durable storage before `append` returns; a crash costs nothing that was acknowledged
and tears no answer. Should a file be torn or damaged all the same, what is sound in it is read, and
`damage` reports the rest. Only Completions are stored; a Failed is requested again next time. Why
it is not a database stands in README.md. Knows no model and no Ray.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pyarrow as pa

from optimizer.errors import StorageError
from optimizer.types import Completion
from serving.ledger.compaction import MOST_SMALL, Found, merge
from serving.ledger.damage import sentence
from serving.ledger.format import (
    ANSWER_COLUMNS,
    ENDING,
    SEGMENT_BYTES,
    OpenSegment,
    answers,
    batch_of,
    contents,
    number_of,
)
from serving.ledger.ownership import Hold
from serving.ledger.schema import PackedAnswers, Paid
from serving.ledger.writer_lock import WAIT_S, hold
from serving.storage import Folder, open_folder
from serving.storage.local import LocalFolder

READERS = 16
"""Number of segments that are fetched concurrently when a ledger is opened."""
_LISTINGS = 5
"""Maximum number of listings of the folder by a reader, if a writer replaces segments meanwhile."""


class Ledger:
    """The record in a folder, opened for writing; safe to use from several threads.

    `close` releases the folder; so does forgetting the ledger, and the end of its process.

    Raises:
        StorageError: If the folder cannot be read or written, or another process holds it for
            longer than `wait_s` seconds.
    """

    def __init__(
        self,
        folder: Folder | Path | str,
        wait_s: float = WAIT_S,
        *,
        take: Callable[[Folder, float], Hold] = hold,
        segment_bytes: int = SEGMENT_BYTES,
        most_small: int = MOST_SMALL,
    ) -> None:
        """Open the folder for writing, and read it.

        Args:
            folder: The ledger's folder.
            wait_s: Seconds to wait for the folder.
            take: Acquires the folder.
            segment_bytes: Size from which on a new segment is started.
            most_small: Number of neighbouring small segments that stay unmerged.
        """
        self._segment_bytes = segment_bytes
        place = open_folder(folder)
        # Before reading: another writer could replace segments meanwhile.
        held = take(place, wait_s)
        try:
            self._open(place, held)
            if isinstance(place, LocalFolder):
                # What a writer that was killed while writing has left; no reader ever sees it.
                for left in place.path.glob(f".*{ENDING}.*"):
                    with suppress(OSError):
                        left.unlink()
            # There may be no room for it now; nothing depends on it.
            with suppress(StorageError):
                merge(place, self._found, most_small)
                _give_memory_back()
        except BaseException:
            held.release()
            raise

    @classmethod
    def read_only(cls, folder: Folder | Path | str) -> Self:
        """Return a ledger for reading, as it is now; another process may be writing to it.

        It acquires no lock and disturbs nobody.
        """
        # Not through __init__, which acquires the folder for writing.
        ledger = cls.__new__(cls)
        ledger._open(open_folder(folder), None)
        return ledger

    def _open(self, folder: Folder, held: Hold | None) -> None:
        self.folder = folder
        self._held = held
        self._lock = threading.Lock()
        self._answers = PackedAnswers()
        self._found: list[Found] = []
        self.torn: list[str] = []
        """Segments that could not be read in full, and files that are none."""
        self.damage: list[str] = []
        """A sentence for each of them on what is wrong, and what could not be read."""
        names, files = _fetched(folder)
        for name, data in zip(names, files, strict=True):
            self._read(name, data)
        _give_memory_back()
        # Always a new segment: those that were found may belong to a writer that is only believed
        # dead.
        self._segment = OpenSegment.numbered(max(map(number_of, names), default=0) + 1)

    def __len__(self) -> int:
        return len(self._answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: bytes) -> Completion | None:
        """Return the answer, marked as cached, or None."""
        return self._answers.get(key)

    def model_of(self, key: bytes) -> str:
        """Return whose answer it is; "" where an old ledger has no record of it, or no such key."""
        return self._answers.model_of(key)

    def append(self, paid_by_key: Mapping[bytes, Paid]) -> None:
        """Make answers durable, and return when they are.

        For a key that is known the first answer stands.

        Raises:
            StorageError: If they cannot be written; then nothing has changed, and the same call may
                be made again.
        """
        with self._lock:
            new = {key: paid for key, paid in paid_by_key.items() if key not in self._answers}
            if new:
                self._write(new)
                for key, paid in new.items():
                    self._answers.add(key, paid.model, paid.answer)

    def close(self) -> None:
        """Release the folder; what was appended is durable without this."""
        with self._lock:
            if self._held:
                self._forget_copy(self._segment)
                self._held.release()
                self._held = None

    def _write(self, new: Mapping[bytes, Paid]) -> None:
        if self._held is None:
            raise StorageError(f"The ledger {self.folder} is open for reading only.")
        # Before each write: a lease may have been lost while this process stood still.
        self._held.check()
        longer = self._segment.with_batch(batch_of(new, datetime.now(UTC)))
        # The whole segment again, with one batch more: a rename or an upload replaces it in one
        # step, so that no reader sees a part.
        data = longer.to_bytes()
        # A failed write changes nothing here, and the next one replaces what it left.
        self.folder.write(longer.name, data)
        # Above that size a commit would write mostly old answers.
        if len(data) < self._segment_bytes:
            self._segment = longer
        else:
            self._segment = OpenSegment.numbered(number_of(longer.name) + 1)
            self._forget_copy(longer)

    def _forget_copy(self, segment: OpenSegment) -> None:
        if segment.commits > 1:
            # A copy that stays costs only its room.
            with suppress(StorageError):
                self.folder.delete(segment.other_name)

    def _read(self, name: str, data: bytes) -> None:
        read = contents(data, ANSWER_COLUMNS)
        for batch in read.batches:
            try:
                rows = list(answers(batch))
            except ValueError:  # only one without a checksum comes so far
                read = read.without(batch)
                continue
            self._answers.add_rows(rows)
        self._found.append(Found(name, len(data), read.state))
        if fault := sentence(name, read):
            self.torn.append(name)
            self.damage.append(fault)


def _fetched(folder: Folder) -> tuple[list[str], list[bytes]]:
    """Return the names of the segments, in order, and their bytes."""
    for _ in range(_LISTINGS):
        names = folder.names(ENDING)
        # On an object store each file is a round trip.
        with ThreadPoolExecutor(READERS) as pool:
            try:
                return names, list(pool.map(folder.read, names))
            except StorageError:
                # All of them are still there: the error is none of a merge that replaced them
                # meanwhile.
                if set(names) <= set(folder.names(ENDING)):
                    raise
    raise StorageError(f"The ledger {folder} changes faster than it can be read; try again.")


def _give_memory_back() -> None:
    """Return what Arrow keeps for later: 100 MB after it has read 200,000 answers."""
    pa.default_memory_pool().release_unused()
