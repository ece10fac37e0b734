"""Limits on reading a task file, whatever the file claims: a few bytes can mean gigabytes.

Knows no file format.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optimizer.errors import DataError


@dataclass(frozen=True)
class ReadLimits:
    """Limits for one task file.

    A file beyond one of them is refused with one sentence, before it takes the memory.
    """

    file_bytes: int = 4 * 2**30
    piece_bytes: int = 512 * 2**20
    """Bytes parsed in one go: a whole .json file, one line of .jsonl, one row of .csv."""
    rows: int = 2_000_000
    cell_characters: int = 64 * 2**20
    """Characters of one input, answer or choice."""
    characters: int = 2**30
    """Characters of all inputs, answers and choices together, as they are in memory: a parquet file
    may repeat one text a million times.
    """
    values: int = 50_000_000
    """Values parsed in one go, and elements of the columns of a parquet file: even an empty one
    takes memory.
    """


WIDE = ReadLimits()
"""Limits of the command line [ours]: far above any data set of prompts, and below the memory of a
laptop.
"""


def too_much(path: Path, what: str, most: int) -> DataError:
    """Return the error for a file that has more than `most` of something."""
    return DataError(f"{path} has more than {most:,} {what}; make it smaller, or split it.")


def check_size(path: Path, most: int) -> None:
    """Check the size of a file before any of it is read.

    Raises:
        DataError: If it has more than `most` bytes.
    """
    if path.stat().st_size > most:
        raise too_much(path, "bytes", most)


def text_lines(path: Path, limits: ReadLimits) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their line ends, one in memory at a time.

    Raises:
        DataError: If a line is too long.
        UnicodeDecodeError: With the position in the file.
    """
    check_size(path, limits.file_bytes)
    at = 0
    with path.open("rb") as file:
        # One byte more than allowed, so that a line of exactly the limit passes.
        while line := file.readline(limits.piece_bytes + 1):
            if len(line) > limits.piece_bytes:
                raise too_much(path, "bytes in one line", limits.piece_bytes)
            try:
                # A byte order mark is allowed at the beginning of the file only.
                yield line.decode("utf-8-sig" if at == 0 else "utf-8")
            except UnicodeDecodeError as problem:
                raise UnicodeDecodeError(
                    problem.encoding,
                    problem.object[:0],
                    at + problem.start,
                    at + problem.end,
                    problem.reason,
                ) from None
            at += len(line)


class TextCounter:
    """Counts the examples and texts of one file; raises DataError once a limit is passed."""

    def __init__(self, path: Path, limits: ReadLimits) -> None:
        self._path = path
        self._limits = limits
        self._rows = self._characters = 0

    def add_row(self, *texts: str) -> None:
        """Count one example with its texts."""
        self._rows += 1
        if self._rows > self._limits.rows:
            raise too_much(self._path, "examples", self._limits.rows)
        self.add(sum(map(len, texts)), max(map(len, texts), default=0))

    def add(self, characters: int, longest: int = 0) -> None:
        """Count `characters` of texts, the longest of which has `longest` characters."""
        if longest > self._limits.cell_characters:
            raise too_much(self._path, "characters in one text", self._limits.cell_characters)
        self._characters += characters
        if self._characters > self._limits.characters:
            raise too_much(
                self._path, "characters of inputs and targets together", self._limits.characters
            )
