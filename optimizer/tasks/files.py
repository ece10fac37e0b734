"""Readers of task files: .csv, .tsv, .jsonl, .parquet, and .json as a list, BIG-bench or BBH.

Knows how each format holds its rows; nothing of scorers or splits. What a row says is read in
optimizer.tasks.rows, tables in optimizer.tasks.tables and optimizer.tasks.parquet. Every fault of a
file is a DataError that names the file.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizer.errors import DataError
from optimizer.json_values import json_text, plain_row
from optimizer.tasks.bigbench import listed
from optimizer.tasks.bounds import WIDE, ReadLimits, TextCounter, check_size, text_lines, too_much
from optimizer.tasks.columns import Columns, Row, text_of
from optimizer.tasks.parquet import parquet_rows, parquet_rows_at
from optimizer.tasks.rows import RowReader, Source, build_source, named
from optimizer.tasks.tables import csv_rows

LONGEST_NAME = 1000
_LOOKS = '{"examples": [{"input": "...", "target": "..."}]}'
_NO_OPTIONS: tuple[str, ...] = ()

__all__ = ["READERS", "Reading", "Source", "read_rows", "read_source"]


class Reading:
    """How a file is to be read: its limits, and the columns of the parts of an example."""

    def __init__(
        self,
        limits: ReadLimits,
        columns: Columns | None = None,
        answered: bool = True,
        shown: str = "",
    ) -> None:
        """See `read_source`."""
        self.limits = limits
        self.shown = shown
        self.columns = columns or Columns()
        self.reader = RowReader(self.columns, answered)
        self.answered = answered

    def name(self, path: Path) -> str:
        """Return the name of the task that a file is."""
        return Path(self.shown).stem if self.shown else path.stem


def read_source(
    path: Path,
    limits: ReadLimits = WIDE,
    columns: Columns | None = None,
    *,
    shown: str = "",
    answered: bool = True,
) -> Source:
    """Read a task file by its extension.

    Args:
        path: The file.
        limits: What may be read.
        columns: Where a row has the parts of an example; None: under the usual names.
        shown: The name to call it by, where it lies under another one.
        answered: Whether every example must have a target.

    Raises:
        DataError: If the file is missing, of an unknown format, empty, beyond a limit, or has
            unusable examples.
    """
    try:
        return _read(path, Reading(limits, columns, answered, shown))
    except DataError as problem:
        if not shown:
            raise
        said = type(problem)(str(problem).replace(str(path), shown))
        said.__dict__.update(problem.__dict__)
        raise said from problem


def _read(path: Path, reading: Reading) -> Source:
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{path} is not a task file that can be read; its name must end in "
            f"{', '.join(READERS)}."
        )
    if not path.is_file():
        raise DataError(f"There is no task file {path}; check the path.")
    try:
        return READERS[path.suffix.lower()](path, reading)
    except OSError as problem:
        raise DataError(
            f"The task file {path} cannot be read: {problem.strerror or problem}."
        ) from problem
    except UnicodeDecodeError as problem:
        raise DataError(
            f"The task file {path} is not UTF-8 text (byte {problem.start}); save it as UTF-8."
        ) from problem
    except MemoryError:
        raise DataError(
            f"The task file {path} needs more memory than there is; make it smaller, or split it."
        ) from None


def read_rows(
    name: str,
    rows: Iterable[Mapping[str, Any]],
    columns: Columns | None = None,
    limits: ReadLimits = WIDE,
    *,
    description: str = "",
    answered: bool = True,
) -> Source:
    """Read rows that are in memory, as `read_source` reads those of a file.

    Raises:
        DataError: There are none, or some cannot be used.
    """
    held = [
        {
            str(key): value.tolist() if hasattr(value, "tolist") else value  # NumPy's
            for key, value in row.items()
        }
        for row in rows
    ]
    return build_source(
        name,
        name,
        description,
        ((row, _NO_OPTIONS) for row in held),
        RowReader(columns or Columns(), answered),
        limits,
        lambda numbers: {number: plain_row(held[number - 1]) for number in numbers},
    )


def _read_json(path: Path, reading: Reading) -> Source:
    limits = reading.limits
    check_size(path, min(limits.file_bytes, limits.piece_bytes))
    text = path.read_text("utf-8-sig")
    try:
        data = _parse(path, text, f"{path} is not JSON", limits)
    except NotJSON:
        # Many tools call a file of JSON lines so.
        if not text.lstrip().startswith("{") or not _is_json(text.lstrip().partition("\n")[0]):
            raise
        return _read_jsonl(path, reading)
    header: Row = data if isinstance(data, dict) else {"examples": data}
    rows = header.get("examples")
    if not isinstance(rows, list):
        raise DataError(f"{path} has no list called 'examples'; it must look like {_LOOKS}.")
    stem = path.parent.name if path.stem == "task" else reading.name(path)
    prefix = text_of(header.get("task_prefix"))
    name, description = text_of(header.get("name")) or stem, text_of(header.get("description"))
    # The name becomes part of the id of every example.
    if len(name) > LONGEST_NAME:
        raise too_much(path, "characters in its name", LONGEST_NAME)
    appends = header.get("append_choices_to_input", True) is not False
    usual = reading.columns == Columns()
    return _source(
        path,
        reading,
        (listed(row, prefix, appends) if usual else (row, _NO_OPTIONS) for row in rows),
        lambda numbers: ((number, rows_of(path, limits)[number - 1]) for number in numbers),
        name=name,
        description=description,
    )


def rows_of(path: Path, limits: ReadLimits) -> list[Any]:
    """Return the rows of a .json file that was read before."""
    data = _parse(path, path.read_text("utf-8-sig"), f"{path} is not JSON", limits)
    found: list[Any] = data["examples"] if isinstance(data, dict) else data
    return found


def _read_jsonl(path: Path, reading: Reading) -> Source:
    if _begins_a_list(path):
        return _read_json(path, reading)  # many tools call a JSON list so

    def rows() -> Iterator[Any]:
        return _jsonl_rows(path, reading.limits)

    return _source(path, reading, ((row, _NO_OPTIONS) for row in rows()), _each(rows))


def _begins_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1000).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _jsonl_rows(path: Path, limits: ReadLimits) -> Iterator[Any]:
    """Yield the rows of a .jsonl file.

    Raises:
        DataError: After all lines were read; it names the lines that are not JSON.
    """
    first: DataError | None = None
    others: list[int] = []
    lines = (
        part
        for line in text_lines(path, limits)
        for part in line.replace("\r\n", "\n").rstrip("\n").split("\r")
    )
    for number, line in enumerate(lines, 1):
        try:
            row = (
                _parse(path, line, f"Line {number} of {path} is not JSON", limits)
                if line.strip()
                else None
            )
        except NotJSON as problem:
            # All lines are checked, so that one message names every bad line.
            first = first or problem
            others += [number] if first is not problem else []
            if len(others) > limits.rows:
                break
        else:
            if line.strip() and first is None:
                yield row
    if first is not None:
        raise DataError(
            str(first) + (f" Nor is line {named(others)}." if others else "")
        ) from first


def _read_csv(path: Path, reading: Reading) -> Source:
    unused: set[str] = set()
    rows = csv_rows(path, reading.limits, reading.columns, unused, reading.answered)
    return _source(
        path,
        reading,
        ((row, _NO_OPTIONS) for row in rows),
        _each(lambda: csv_rows(path, reading.limits, None)),
        unused,
    )


def _read_parquet(path: Path, reading: Reading) -> Source:
    unused: set[str] = set()
    rows = parquet_rows(path, reading.limits, reading.columns, unused, reading.answered)
    return _source(
        path,
        reading,
        ((row, _NO_OPTIONS) for row in rows),
        lambda numbers: parquet_rows_at(path, reading.limits, numbers),
        unused,
    )


READERS: dict[str, Callable[[Path, Reading], Source]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".tsv": _read_csv,
}


class NotJSON(DataError):
    """A text that is not JSON."""


def _parse(path: Path, text: str, fault: str, limits: ReadLimits) -> Any:
    """Parse a JSON text.

    Raises:
        NotJSON: If it is not JSON.
        DataError: If it has too many values: each takes memory, however short it is.
    """
    # Counted before parsing: each value takes far more memory than its characters.
    if sum(map(text.count, "[{,")) > limits.values:
        raise too_much(path, "JSON values in one piece", limits.values)
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise NotJSON(
            f"{fault}: {problem.msg} (line {problem.lineno}, column {problem.colno})."
        ) from problem
    except RecursionError as problem:
        raise NotJSON(f"{fault}: it is nested too deep.") from problem
    except ValueError as problem:
        # Python reads no integer of more than 4300 digits.
        raise NotJSON(
            f"{fault}: it holds a number of too many digits; write it as a text."
        ) from problem


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _each(rows: Callable[[], Iterable[Any]]) -> Callable[[Collection[int]], Iterator[Any]]:
    """Return a function that gives rows by their numbers, with these, by reading all again."""

    def found(numbers: Collection[int]) -> Iterator[tuple[int, Any]]:
        last = max(numbers, default=0)
        for number, row in enumerate(rows(), 1):
            if number in numbers:
                yield number, row
            if number >= last:
                break

    return found


def _source(
    path: Path,
    reading: Reading,
    rows: Iterable[tuple[Any, Sequence[str]]],
    rows_at: Callable[[Collection[int]], Iterable[tuple[int, Any]]],
    unused: set[str] | None = None,
    name: str = "",
    description: str = "",
) -> Source:
    """Build a source whose whole rows are read again where they are wanted.

    The whole rows of a large file would take far more memory than the parts of its examples, and
    only those of the splits are wanted.
    """

    def whole(numbers: Collection[int]) -> dict[int, Mapping[str, Any]]:
        wanted = frozenset(numbers)
        counter, found = TextCounter(path, reading.limits), dict[int, Mapping[str, Any]]()
        for number, row in rows_at(wanted):
            found[number] = plain_row(row) if isinstance(row, Mapping) else {}
            counter.add(len(json_text(found[number])))
        if len(found) < len(wanted):
            raise DataError(f"{path} was changed while it was read; start again.")
        return found

    return build_source(
        path,
        name or reading.name(path),
        description,
        rows,
        reading.reader,
        reading.limits,
        whole,
        unused if unused is not None else (),
    )
