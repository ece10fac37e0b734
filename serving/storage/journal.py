"""Lines that are only ever added to, on a storage that takes whole files.

Knows nothing of what they say.

    FOLDER/000000.jsonl, 000001.jsonl ...   a line an entry, LINES in each file but the last

To add lines, the last file is written again with them, and after LINES lines the next one is begun:
so what was acknowledged stays, and entry number n stands in file n // LINES. One writer; any number
of readers.

A line ends with a checksum of its entry and of the number that it has, which is no part of the
entry; lines from before have none. A file that was cut, a line whose bytes have changed and a file
that is missing are a DataError, and never read as something else. Only a last file that ends early
between two lines cannot be told from one that was never longer.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Any

from optimizer.errors import DataError
from serving.storage import Folder

LINES = 200
"""Of a file: some 50 kB, which are written again for each group of entries [ours]."""
MEND = "bring it back from a copy."
_SUM = b', "crc32": "'
_SUM_BYTES = len(_SUM) + 8 + len(b'"}')
_NEARLY = 3
"""So many of its bytes may differ from a checksum's beginning before a line counts as one from
before, without a checksum.
"""


class Journal:
    """The entries of a folder, for their one writer.

    It holds the last file only. Raises StorageError, DataError.

    `mend` ends the sentence that tells of damage.
    """

    def __init__(self, folder: Folder, mend: str = MEND) -> None:
        self._folder = folder
        self._mend = mend
        names = _names(folder, mend)
        self._number = max(0, len(names) - 1)
        self._lines = _lines(folder, names[-1], mend) if names else []

    def __len__(self) -> int:
        return self._number * LINES + len(self._lines)

    def entries(self) -> list[dict[str, Any]]:
        """All of them."""
        return entries(self._folder, mend=self._mend)

    def place_of(self, entry: int) -> str:
        """The file that the entry of that number stands in."""
        return self._folder.place_of(_file(entry // LINES))

    @property
    def only_ours(self) -> bool:
        """Does the storage hold what this writer has put there, and no more?"""
        name, after = _file(self._number), _file(self._number + 1)
        there = self._folder.read(name) if self._folder.exists(name) else b""
        return there == b"".join(self._lines) and not (
            len(self._lines) >= LINES and self._folder.exists(after)
        )

    def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Returns when they are on storage. After a fault the same call may be made again."""
        left = [_line(number, entry) for number, entry in enumerate(entries, len(self))]
        number, lines = self._number, self._lines
        while left:
            if len(lines) >= LINES:
                number, lines = number + 1, []
            lines, left = [*lines, *left[: LINES - len(lines)]], left[LINES - len(lines) :]
            self._folder.write(_file(number), b"".join(lines))
        self._number, self._lines = number, lines


def entries(
    folder: Folder, after: int = 0, limit: int | None = None, mend: str = MEND
) -> list[dict[str, Any]]:
    """The entries behind the first `after`, as they stand there now.

    Raises StorageError, DataError.
    """
    found: list[dict[str, Any]] = []
    names = _names(folder, mend)
    number = after // LINES
    while number < len(names) and (limit is None or len(found) < limit):
        lines = _lines(folder, names[number], mend)
        if number < len(names) - 1 and len(lines) != LINES:
            raise DataError(
                f"{folder.place_of(names[number])} has {len(lines)} lines instead of {LINES}; "
                f"{mend}"
            )
        begin = max(0, after - number * LINES)
        found += [
            _parse(folder.place_of(names[number]), line, number * LINES + at, mend)
            for at, line in enumerate(lines[begin:], begin)
        ]
        number += 1
    return found if limit is None else found[:limit]


def _names(folder: Folder, mend: str) -> list[str]:
    names = folder.names(".jsonl")
    if names != [_file(number) for number in range(len(names))]:
        raise DataError(f"A file of {folder} is missing between the others; {mend}")
    return names


def _lines(folder: Folder, name: str, mend: str) -> list[bytes]:
    """The lines of a file, with their ends.

    What stands behind a line that was cut would become a part of it.
    """
    data = folder.read(name)
    if not data.endswith(b"\n"):
        raise DataError(f"{folder.place_of(name)} is cut in its last line; {mend}")
    return data.splitlines(keepends=True)


def _line(number: int, entry: dict[str, Any]) -> bytes:
    """The line of an entry.

    An empty one has no place for a checksum, and nothing that could change.
    """
    text = json.dumps(entry).encode()
    return (text[:-1] + _SUM + _sum(number, text) + b'"}' if entry else text) + b"\n"


def _sum(number: int, text: bytes) -> bytes:
    return f"{zlib.crc32(text, number):08x}".encode()


def _parse(place: str, line: bytes, number: int, mend: str) -> dict[str, Any]:
    text = _checked(place, line.rstrip(b"\r\n"), number, mend)
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{place} is not JSON lines ({problem}); {mend}") from problem
    if not isinstance(entry, dict):
        raise DataError(f"{place} holds something else than entries; {mend}")
    return entry


def _checked(place: str, line: bytes, number: int, mend: str) -> bytes:
    """The entry's own text, as it was written."""
    tail = line[-_SUM_BYTES:]
    if (
        len(tail) < _SUM_BYTES
        or sum(one != other for one, other in zip(tail, _SUM, strict=False)) > _NEARLY
    ):
        return line
    text = line[:-_SUM_BYTES] + b"}"
    if tail != _SUM + _sum(number, text) + b'"}':
        raise DataError(
            f"Line {number % LINES + 1} of {place} is not what was written there; {mend}"
        )
    return text


def _file(number: int) -> str:
    return f"{number:06d}.jsonl"
