"""Lines that are only ever added to, on a storage that takes whole files. Knows nothing of what they say.

    FOLDER/000000.jsonl, 000001.jsonl ...   a line an entry, LINES in each file but the last

To add lines, the last file is written again with them, and after LINES lines the next one is begun: so what was acknowledged stays,
and entry number n stands in file n // LINES. One writer; any number of readers.
"""

import json
from collections.abc import Sequence
from typing import Any

from optimizer.errors import DataError
from serving.storage import Folder

LINES = 200
"""Of a file: some 50 kB, which are written again for each group of entries [ours]."""
MEND = "bring it back from a copy."


class Journal:
    """The entries of a folder, for their one writer. It holds the last file only. Raises StorageError, DataError.

    `mend` ends the sentence that tells of damage.
    """

    def __init__(self, folder: Folder, mend: str = MEND) -> None:
        self._folder = folder
        self._mend = mend
        names = folder.names(".jsonl")
        if names != [_file(number) for number in range(len(names))]:
            raise DataError(f"A file of {folder} is missing between the others; {mend}")
        self._number = max(0, len(names) - 1)
        self._lines = folder.read(names[-1]).splitlines(keepends=True) if names else []

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
        return there == b"".join(self._lines) and not (len(self._lines) >= LINES and self._folder.exists(after))

    def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Returns when they are on storage. After a fault the same call may be made again."""
        left = [json.dumps(entry).encode() + b"\n" for entry in entries]
        number, lines = self._number, self._lines
        while left:
            if len(lines) >= LINES:
                number, lines = number + 1, []
            lines, left = [*lines, *left[: LINES - len(lines)]], left[LINES - len(lines) :]
            self._folder.write(_file(number), b"".join(lines))
        self._number, self._lines = number, lines


def entries(folder: Folder, after: int = 0, limit: int | None = None, mend: str = MEND) -> list[dict[str, Any]]:
    """The entries behind the first `after`, as they stand there now. Raises StorageError, DataError."""
    found: list[dict[str, Any]] = []
    names = set(folder.names(".jsonl"))
    number = after // LINES
    while _file(number) in names and (limit is None or len(found) < limit):
        lines = folder.read(_file(number)).splitlines()
        found += [_parse(folder.place_of(_file(number)), line, mend) for line in lines[max(0, after - number * LINES) :]]
        number += 1
    return found if limit is None else found[:limit]


def _parse(place: str, line: bytes, mend: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{place} is not JSON lines ({problem}); {mend}") from problem
    if not isinstance(entry, dict):
        raise DataError(f"{place} holds something else than entries; {mend}")
    return entry


def _file(number: int) -> str:
    return f"{number:06d}.jsonl"
