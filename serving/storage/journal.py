"""An append-only journal of JSON lines on a storage that writes whole files.

    FOLDER/000000.jsonl, 000001.jsonl ...   a line an entry, LINES in each file but the last

To add lines, the last file is written again with them, and after LINES lines the next one is
started: so acknowledged entries stay, and entry number n is in file n // LINES. One writer; any
number of readers.

A line ends with a checksum of its entry and of the number that it has, which is no part of the
entry; lines of older versions have none. A file that was cut, a line whose bytes have changed and a
file that is missing are a DataError, and never read as something else. Only a last file that ends
early between two lines cannot be distinguished from one that was never longer. Knows nothing of the
entries' meaning.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Any

from optimizer.errors import DataError
from serving.storage import Folder

LINES = 200
"""Lines of a file: some 50 kB, which are written again for each group of entries [ours]."""
REMEDY = "bring it back from a copy."
_SUM = b', "crc32": "'
_SUM_BYTES = len(_SUM) + 8 + len(b'"}')
_NEARLY = 3
"""Bytes by which a damaged checksum may differ before the line counts as an old one
without a checksum.
"""


class Journal:
    """The entries of a folder, for their one writer.

    It holds the last file only. `remedy` ends the sentence on damage. Methods raise
    StorageError or, for damage, DataError.
    """

    def __init__(self, folder: Folder, remedy: str = REMEDY) -> None:
        self._folder = folder
        self._remedy = remedy
        names = _names(folder, remedy)
        self._number = max(0, len(names) - 1)
        self._lines = _lines(folder, names[-1], remedy) if names else []

    def __len__(self) -> int:
        return self._number * LINES + len(self._lines)

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries."""
        return entries(self._folder, remedy=self._remedy)

    def place_of(self, entry: int) -> str:
        """Return the address of the file with the entry of that number."""
        return self._folder.place_of(_file(entry // LINES))

    @property
    def only_ours(self) -> bool:
        """Return whether the storage holds what this writer has written, and no more."""
        name, after = _file(self._number), _file(self._number + 1)
        there = self._folder.read(name) if self._folder.exists(name) else b""
        return there == b"".join(self._lines) and not (
            len(self._lines) >= LINES and self._folder.exists(after)
        )

    def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Append entries, and return when they are on storage.

        After an error the same call may be made again.
        """
        left = [_line(number, entry) for number, entry in enumerate(entries, len(self))]
        number, lines = self._number, self._lines
        while left:
            if len(lines) >= LINES:
                number, lines = number + 1, []
            lines, left = [*lines, *left[: LINES - len(lines)]], left[LINES - len(lines) :]
            # The whole file again: an object store has no append.
            self._folder.write(_file(number), b"".join(lines))
        # Only after the writes: after an error the same call starts from the old state.
        self._number, self._lines = number, lines


def entries(
    folder: Folder, after: int = 0, limit: int | None = None, remedy: str = REMEDY
) -> list[dict[str, Any]]:
    """Return the entries behind the first `after`, as they are on storage now.

    Raises:
        StorageError: If a file cannot be read.
        DataError: If a file is damaged or missing.
    """
    found: list[dict[str, Any]] = []
    names = _names(folder, remedy)
    number = after // LINES
    while number < len(names) and (limit is None or len(found) < limit):
        lines = _lines(folder, names[number], remedy)
        if number < len(names) - 1 and len(lines) != LINES:
            raise DataError(
                f"{folder.place_of(names[number])} has {len(lines)} lines instead of {LINES}; "
                f"{remedy}"
            )
        begin = max(0, after - number * LINES)
        found += [
            _parse(folder.place_of(names[number]), line, number * LINES + at, remedy)
            for at, line in enumerate(lines[begin:], begin)
        ]
        number += 1
    return found if limit is None else found[:limit]


def _names(folder: Folder, remedy: str) -> list[str]:
    names = folder.names(".jsonl")
    # A gap would shift the numbers of all later entries.
    if names != [_file(number) for number in range(len(names))]:
        raise DataError(f"A file of {folder} is missing between the others; {remedy}")
    return names


def _lines(folder: Folder, name: str, remedy: str) -> list[bytes]:
    """Return the lines of a file, with their ends."""
    data = folder.read(name)
    # A later line would become a part of one that was cut.
    if not data.endswith(b"\n"):
        raise DataError(f"{folder.place_of(name)} is cut in its last line; {remedy}")
    return data.splitlines(keepends=True)


def _line(number: int, entry: dict[str, Any]) -> bytes:
    """Return the line of an entry, with its checksum.

    An empty entry has no room for a checksum, and nothing that could change.
    """
    text = json.dumps(entry).encode()
    return (text[:-1] + _SUM + _sum(number, text) + b'"}' if entry else text) + b"\n"


def _sum(number: int, text: bytes) -> bytes:
    return f"{zlib.crc32(text, number):08x}".encode()


def _parse(place: str, line: bytes, number: int, remedy: str) -> dict[str, Any]:
    text = _checked(place, line.rstrip(b"\r\n"), number, remedy)
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{place} is not JSON lines ({problem}); {remedy}") from problem
    if not isinstance(entry, dict):
        raise DataError(f"{place} holds something else than entries; {remedy}")
    return entry


def _checked(place: str, line: bytes, number: int, remedy: str) -> bytes:
    """Return the entry's own text, as it was written."""
    tail = line[-_SUM_BYTES:]
    if (
        len(tail) < _SUM_BYTES
        or sum(one != other for one, other in zip(tail, _SUM, strict=False)) > _NEARLY
    ):
        return line
    text = line[:-_SUM_BYTES] + b"}"
    if tail != _SUM + _sum(number, text) + b'"}':
        raise DataError(
            f"Line {number % LINES + 1} of {place} is not what was written there; {remedy}"
        )
    return text


def _file(number: int) -> str:
    return f"{number:06d}.jsonl"
