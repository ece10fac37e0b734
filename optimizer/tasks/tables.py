"""The reader of .csv and .tsv files, which holds one bounded row in memory at a time."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optimizer.errors import DataError, shortened
from optimizer.tasks.bounds import ReadLimits, text_lines, too_much
from optimizer.tasks.columns import Columns, MissingColumns

_NAMED = 5
"""Number of faulty lines that a message names."""
_SEPARATORS = ("\t", ";")
"""What separates the fields in place of commas, where the headings have none."""


def csv_rows(
    path: Path,
    limits: ReadLimits,
    columns: Columns | None,
    unused: set[str] | None = None,
    answered: bool = True,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a .csv or .tsv file with their needed columns.

    Nothing is repaired: a row that has more or fewer fields than there are headings may have its
    text in the wrong column, and a misplaced quote can swallow the rows behind it. Semicolons and
    tabs separate the fields, too, where the headings have no comma.

    Args:
        path: The file.
        limits: Limits on its size.
        columns: What is needed; None: all columns.
        unused: A set to which the names of all other columns are added.
        answered: Whether there must be a column of targets.

    Raises:
        DataError: If the file is not CSV, or rows do not fit the headings; it names the lines.
    """
    # The limit of the csv module is global; it is set before every file.
    csv.field_size_limit(limits.cell_characters)
    separator = _separator(path, limits)
    feed = _Feed(path, limits, separator)
    reader = csv.reader(feed, delimiter=separator, strict=True)
    names: list[str] | None = None
    places: list[tuple[int, str]] = []
    odd: list[tuple[int, int]] = []
    try:
        for row in reader:
            line = feed.row_is_read()
            if names is None:
                names = row
                needed = (
                    set(names) if columns is None else need_columns(path, names, columns, answered)
                )
                places = [(at, name) for at, name in enumerate(names) if name in needed]
                if unused is not None:
                    unused.update(name for name in names if name not in needed)
            elif row and len(row) != len(names):
                odd.append((line, len(row)))
            elif row and not odd:
                yield {name: row[place] for place, name in places}
    except csv.Error as problem:
        if "field larger" in str(problem):
            raise too_much(path, "characters in one text", limits.cell_characters) from problem
        raise DataError(
            f"{path} is not CSV: in line {feed.first_line}, or in the row that begins there, a "
            "quote stands where none may stand "
            f'or is not closed ({problem}); write a quote inside a text as two quotes ("").'
        ) from problem
    if odd:
        raise DataError(_odd_rows(path, odd, len(names or ()), separator))


def _odd_rows(path: Path, odd: list[tuple[int, int]], headings: int, separator: str) -> str:
    """Return the sentence on rows that do not fit the headings: their lines and fields."""
    lines = ", ".join(str(line) for line, _ in odd[:_NAMED]) + (
        f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else ""
    )
    fields = "1 field" if odd[0][1] == 1 else f"{odd[0][1]} fields"
    what = {"\t": "tab", ";": "semicolon"}.get(separator, "comma")
    return (
        f"{path} has {fields} in line {odd[0][0]} under {headings} headings (lines "
        f"like it: {lines}); put a text that holds a {what} into quotes."
    )


def _separator(path: Path, limits: ReadLimits) -> str:
    """Return what separates the fields: a comma, unless the headings have other ones only."""
    headings = next(text_lines(path, limits), "")
    if path.suffix.lower() == ".tsv":
        return "\t"
    return next((one for one in _SEPARATORS if one in headings and "," not in headings), ",")


def need_columns(
    path: Path, names: Sequence[str], columns: Columns, answered: bool = True
) -> set[str]:
    """Return the columns that hold a part of an example.

    Raises:
        DataError: If one is missing, or is there twice.
    """
    needed = set(columns.needed(names))
    count = Counter(names)
    faults = []
    if twice := [name for name in dict.fromkeys(names) if name in needed and count[name] > 1]:
        faults.append(
            f"has more than one column called {shortened(' and '.join(twice))}; name each once"
        )
    if names and (lacking := columns.lacking(names, answered)):
        raise MissingColumns.of(f"{path} {'. It '.join([*faults, lacking])}.", names)
    if faults:
        raise DataError(f"{path} {faults[0]}.")
    return needed


class _Feed:
    """The lines of a .csv file, split as the csv module needs them; counts the size of each row."""

    def __init__(self, path: Path, limits: ReadLimits, separator: str) -> None:
        self._path = path
        self._limits = limits
        self._separator = separator
        self._lines = self._split()
        self._characters = self._cells = 0
        self._line = 0
        self.first_line = 1
        """First line of the row that is being read."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._line += 1
        self._characters += len(line)
        self._cells += line.count(self._separator) + 1
        if self._characters > self._limits.piece_bytes:
            raise too_much(self._path, "characters in one row", self._limits.piece_bytes)
        if self._cells > self._limits.values:
            raise too_much(self._path, "cells in one row", self._limits.values)
        return line

    def row_is_read(self) -> int:
        """Return the line in which the row just read begins."""
        first, self.first_line = self.first_line, self._line + 1
        self._characters = self._cells = 0
        return first

    def _split(self) -> Iterator[str]:
        """Yield the lines; lone carriage returns end lines, too, as some spreadsheets do."""
        for line in text_lines(self._path, self._limits):
            if "\r" not in line.removesuffix("\r\n"):
                yield line
                continue
            ended = line.endswith("\r\n")
            *parts, last = line.removesuffix("\r\n").split("\r")
            yield from (f"{part}\r" for part in parts)
            yield last + ("\r\n" if ended else "")
