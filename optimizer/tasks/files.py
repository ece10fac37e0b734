"""Readers of task files: BIG-bench task.json, BIG-Bench Hard json, .jsonl, .csv and .parquet.

Knows how each format names its parts; nothing of scorers or splits. Tables are read in
optimizer.tasks.tables. Every fault of a file is a DataError that names the file.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from optimizer.errors import DataError
from optimizer.tasks.bounds import WIDE, ReadLimits, TextCounter, check_size, text_lines, too_much
from optimizer.tasks.tables import csv_rows, parquet_rows
from optimizer.types import Example

Row = Mapping[str, Any]
Parts = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Input, answers and choices of one example."""
_OPTION = re.compile(r"[ \t]*(?:\([A-Za-z]\)|-)[ \t]*\S.*")
"""One line: a pattern over all lines at once would try every way to divide them."""
LONGEST_NAME = 1000
_LOOKS = '{"examples": [{"input": "...", "target": "..."}]}'
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OWN_KEYS = {"input", "target", "choices", "target_scores"}
_MOST_UNUSED = 100
_NAMED = 5
"""Number of faulty examples that a message names."""


@dataclass(frozen=True)
class Source:
    """The content of a file or generator: examples in their own order, duplicates included."""

    name: str
    description: str
    examples: tuple[Example, ...]
    unused: tuple[str, ...] = ()
    """Columns, or keys of rows, that are not used."""


def read_source(path: Path, limits: ReadLimits = WIDE) -> Source:
    """Read a task file by its extension.

    Raises:
        DataError: If the file is missing, of an unknown format, empty, beyond a limit, or has
            unusable examples.
    """
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{path} is not a task file that can be read; its name must end in "
            f"{', '.join(READERS)}."
        )
    if not path.is_file():
        raise DataError(f"There is no task file {path}; check the path.")
    try:
        return READERS[path.suffix.lower()](path, limits)
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


def _read_json(path: Path, limits: ReadLimits) -> Source:
    check_size(path, min(limits.file_bytes, limits.piece_bytes))
    data = _parse(path, path.read_text("utf-8-sig"), f"{path} is not JSON", limits)
    header: Row = data if isinstance(data, dict) else {"examples": data}
    rows = header.get("examples")
    if not isinstance(rows, list):
        raise DataError(f"{path} has no list called 'examples'; it must look like {_LOOKS}.")
    stem = path.parent.name if path.stem == "task" else path.stem
    prefix = _text(header.get("task_prefix"))
    name, description = _text(header.get("name")) or stem, _text(header.get("description"))
    # The name becomes part of the id of every example.
    if len(name) > LONGEST_NAME:
        raise too_much(path, "characters in its name", LONGEST_NAME)
    appends = header.get("append_choices_to_input", True) is not False
    return _source(path, name, description, rows, lambda row: _listed(row, prefix, appends), limits)


def _read_jsonl(path: Path, limits: ReadLimits) -> Source:
    return _source(path, path.stem, "", _jsonl_rows(path, limits), _plain, limits)


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
            str(first) + (f" Nor is line {_named(others)}." if others else "")
        ) from first


def _read_csv(path: Path, limits: ReadLimits) -> Source:
    unused: set[str] = set()
    return _source(path, path.stem, "", csv_rows(path, limits, unused), _plain, limits, unused)


def _read_parquet(path: Path, limits: ReadLimits) -> Source:
    unused: set[str] = set()
    return _source(path, path.stem, "", parquet_rows(path, limits, unused), _plain, limits, unused)


READERS: dict[str, Callable[[Path, ReadLimits], Source]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
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


def _source(
    path: Path,
    name: str,
    description: str,
    rows: Iterable[Any],
    read: Callable[[Row], Parts],
    limits: ReadLimits,
    unused: set[str] | None = None,
) -> Source:
    """Build a source from rows; examples are numbered from 1 in the order of the file.

    Raises:
        DataError: If there are no examples, or some have no input or answer.
    """
    counter = TextCounter(path, limits)
    parts: list[Parts] = []
    unused = set() if unused is None else unused
    for number, row in enumerate(rows, 1):
        try:
            text, answers, choices = read(row) if isinstance(row, Mapping) else ("", (), ())
        except _OddChoices as problem:
            raise DataError(f"Example {number} of {path} {problem}") from None
        if isinstance(row, Mapping) and len(unused) < _MOST_UNUSED:
            unused.update(key for key in row if key not in _OWN_KEYS)
        counter.add_row(text, *answers, *choices)
        parts.append((text, answers, choices))
    if not parts:
        raise DataError(f"{path} has no examples; give it at least as many as the splits need.")
    without = (
        (
            "input",
            "an input text",
            [number for number, (text, _, _) in enumerate(parts, 1) if not text.strip()],
        ),
        (
            "answer",
            "a target",
            [number for number, (_, answers, _) in enumerate(parts, 1) if not answers],
        ),
    )
    if faults := [_lacking(what, cure, numbers) for what, cure, numbers in without if numbers]:
        raise DataError(f"{path} {' It '.join(faults)}")
    return Source(
        name,
        description,
        tuple(
            Example(f"{name}/{number}", text, answers, choices)
            for number, (text, answers, choices) in enumerate(parts, 1)
        ),
        tuple(sorted(unused)),
    )


def _lacking(what: str, cure: str, numbers: Sequence[int]) -> str:
    return f"has examples without an {what}: number {_named(numbers)}; give each {cure}."


def _named(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:_NAMED])) + (
        f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    )


class _OddChoices(ValueError):
    """The choices of a row cannot be read; the message continues a sentence on the row."""


def _plain(row: Row) -> Parts:
    """Read a row with input and target.

    The choices are its own, or else those that the input lists as its options.
    """
    text = _text(row.get("input"))
    return text, _answers(row.get("target")), _choices(row.get("choices")) or _options(text)


def _choices(value: Any) -> tuple[str, ...]:
    """Read the choices of a row: a list, or one written as JSON, as in a .csv file.

    Raises:
        _OddChoices: If they are not a list of texts.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    texts = tuple(map(_text, value)) if isinstance(value, list | tuple) else ()
    if not texts or not all(text.strip() for text in texts):
        raise _OddChoices('has choices that are no list of texts; write them like ["yes", "no"].')
    return texts


def _listed(row: Row, prefix: str, appends: bool) -> Parts:
    """Read a BIG-bench row: a prefix for all inputs, and scores by choice in place of a target."""
    text = _text(row.get("input"))
    if text and prefix:
        text = f"{prefix}{'' if prefix[-1].isspace() else ' '}{text}"
    scores = row.get("target_scores")
    if not isinstance(scores, Mapping):
        return _plain({**row, "input": text})
    choices = tuple(scores)
    return text + (_appended(choices) if appends and text else ""), _best(scores), choices


def _best(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the choices with the best score; none where that is not above 0."""
    numbers = {choice: score for choice, score in scores.items() if isinstance(score, int | float)}
    best = max(numbers.values(), default=0)
    return tuple(
        choice for choice, score in numbers.items() if score == best and best > 0 and choice.strip()
    )


def _appended(choices: Sequence[str]) -> str:
    """Return the choices as BIG-bench appends them to an input, in the form of BIG-Bench Hard.

    They have letters if the letters suffice.
    """
    if len(choices) > len(_LETTERS):
        return "\nOptions:\n" + "\n".join(f"- {choice}" for choice in choices)
    return "\nOptions:\n" + "\n".join(
        f"({letter}) {choice}" for letter, choice in zip(_LETTERS, choices, strict=False)
    )


def _options(text: str) -> tuple[str, ...]:
    """Return the options that a BIG-Bench Hard input ends with: "(A) text", or "- text"."""
    lines = text.rstrip().split("\n")
    options = list(takewhile(_OPTION.fullmatch, reversed(lines)))[::-1]
    headed = len(options) < len(lines) and lines[-len(options) - 1].rstrip() == "Options:"
    return tuple(line.strip().removeprefix("-").strip() for line in options) if headed else ()


def _answers(target: Any) -> tuple[str, ...]:
    """Return the accepted answers of a target: a text, a number, or a list of them.

    Empty ones are dropped.
    """
    several = target if isinstance(target, list | tuple) else [target]
    return tuple(text for text in map(_text, several) if text.strip())


def _text(value: Any) -> str:
    """Return a cell as text.

    The text is "" for None, for NaN (an empty cell of a number column), and for values that are not
    plain.
    """
    return str(value) if isinstance(value, str | int | float) and value == value else ""
