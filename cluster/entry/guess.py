"""Guess the settings of an experiment from its data, and say why: `promptray init`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from optimizer.errors import DataError
from optimizer.paths import expanded
from optimizer.tasks.bounds import WIDE
from optimizer.tasks.columns import Columns, text_of
from optimizer.tasks.files import read_source
from optimizer.tasks.loading import default_scorer
from optimizer.tasks.parquet import parquet_rows_at
from optimizer.tasks.sizes import as_fits
from optimizer.tasks.tables import csv_rows
from optimizer.tasks.targets import few_targets, solved
from optimizer.types import Example

INPUTS = (
    *("input", "text", "question", "prompt", "query", "instruction", "message", "body"),
    *("content", "document", "email", "mail", "note"),
)
TARGETS = (
    *("target", "label", "answer", "output", "expected", "category", "class", "summary"),
    *("gold", "completion", "response", "ideal", "reference", "intent", "sentiment"),
)
"""Names that data sets have for a part, the usual one first."""
LOOKED_AT = 200
"""Rows that columns are guessed from [ours]."""
LONG_TEXT = 60
"""Characters of a median target above which it is free text [ours]."""


@dataclass(frozen=True)
class Guess:
    """What was guessed of a file."""

    columns: Columns
    grader: str
    examples: int
    labels: tuple[str, ...]
    """The classes of the targets, the most frequent first; empty where there are none."""
    sizes: tuple[int, int, int]
    """Examples of train, dev and test under `auto`."""
    reasons: Mapping[str, str]
    """Setting -> why."""


def guess(source: str, given: Columns) -> Guess:
    """Return what settings fit a data file.

    Args:
        source: The path.
        given: What the caller says of its columns.

    Raises:
        DataError: It cannot be read, or its columns cannot be guessed.
    """
    path = expanded(source)
    columns, why_columns = _columns(source, first_rows(path), given)
    examples = list(solved(read_source(path, columns=columns).examples))
    grader, why_grader, labels = _grader(examples)
    distinct = len({example.input for example in examples})
    sizes = as_fits(distinct)
    return Guess(
        columns,
        grader,
        len(examples),
        labels,
        (sizes.train, sizes.dev, sizes.test),
        {
            "columns": why_columns,
            "grader": why_grader,
            "sizes": f"of {distinct} different examples, {sizes.train} are to learn from, "
            f"{sizes.dev} to choose by, and {sizes.test} to test",
        },
    )


def first_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the first rows of a data file, whole.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv":
                return list(islice(csv_rows(path, WIDE, None), LOOKED_AT))
            case ".parquet":
                import pyarrow.parquet

                rows = pyarrow.parquet.read_metadata(path).num_rows
                numbers = range(1, min(rows, LOOKED_AT) + 1)
                return [row for _, row in parquet_rows_at(path, WIDE, numbers)]
            case _:
                return _json_rows(path)
    except (OSError, ValueError, RecursionError) as problem:
        if isinstance(problem, DataError):
            raise
        # What the reader says of the file is the better sentence, where it has one.
        read_source(path, answered=False)
        raise DataError(f"{path} cannot be read ({problem}).") from problem


def _json_rows(path: Path) -> list[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        lines = [line for line in islice(file, LOOKED_AT) if line.strip()]
    if path.suffix.lower() != ".json":
        try:
            return [row for row in map(json.loads, lines) if isinstance(row, dict)]
        except ValueError:
            pass
    data = json.loads(path.read_text("utf-8-sig"))
    rows = data.get("examples", []) if isinstance(data, dict) else data
    return [row for row in rows[:LOOKED_AT] if isinstance(row, dict)]


def _columns(source: str, rows: Sequence[Mapping[str, Any]], given: Columns) -> tuple[Columns, str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if "messages" in names and not given.input:
        return given, "the rows are chats: the last user turn is the input, the rest its history"
    input, why_input = given.input, "as you say"
    target, why_target = given.target, "as you say"
    if not target:
        target, why_target = _target_column(names, rows, given.input)
    if not input:
        input, why_input = _input_column([name for name in names if name != target], rows)
    if not input or not target:
        raise DataError(
            f"The columns of {source} cannot be guessed; it has: {', '.join(map(str, names))}. "
            "Name them with --input and --target-column."
        )
    columns = replace(given, input=input, target=target)
    return columns, f"{input} is the input ({why_input}), {target} the target ({why_target})"


def _target_column(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], input: str
) -> tuple[str, str]:
    rest = [name for name in names if name != input]
    if (found := _called(rest, TARGETS)) is not None:
        return found, "by its name"
    if input and len(rest) == 1:
        return rest[0], "the only other column"
    inputs = _called(names, INPUTS)
    others = [name for name in rest if name != inputs]
    if len(others) == 1:
        return others[0], "the only other column"
    classes = [name for name in others if _is_class(name, rows)]
    return (classes[0], "the only column of a few values") if len(classes) == 1 else ("", "")


def _input_column(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    if (found := _called(names, INPUTS)) is not None:
        return found, "by its name"
    if len(names) == 1:
        return names[0], "the only other column"
    by_length = sorted(names, key=lambda name: -_median_length(name, rows))
    if len(by_length) > 1 and _median_length(by_length[0], rows) > 2 * _median_length(
        by_length[1], rows
    ):
        return by_length[0], "it has by far the longest texts"
    return "", ""


def _called(names: Sequence[str], known: Sequence[str]) -> str | None:
    by_folded = {str(name).casefold(): name for name in reversed(names)}
    return next((by_folded[name] for name in known if name in by_folded), None)


def _is_class(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    values = [text_of(row.get(name)) for row in rows]
    return 1 < len(set(values)) <= max(2, len(values) // 5)


def _median_length(name: str, rows: Sequence[Mapping[str, Any]]) -> float:
    return median(len(text_of(row.get(name), nested=True)) for row in rows) if rows else 0.0


def _grader(examples: Sequence[Example]) -> tuple[str, str, tuple[str, ...]]:
    """Return the grader's name, why it fits, and the labels."""
    fits = default_scorer(examples)
    if fits == "choice" and few_targets(examples):
        count = Counter(example.answers[0] for example in examples if example.answers)
        labels = tuple(label for label, _ in count.most_common())
        return fits, f"the targets are {len(labels)} labels", labels
    if fits == "choice":
        return fits, "the examples list their choices", ()
    if fits == "number":
        return fits, "all targets are numbers", ()
    if fits == "json":
        return fits, "all targets are JSON", ()
    lengths = [len(answer) for example in examples for answer in example.answers[:1]]
    typical = median(lengths) if lengths else 0
    if typical > LONG_TEXT:
        why = f"targets are long texts ({typical:.0f} characters): no answer repeats one exactly"
        return "text_similarity", why, ()
    return "exact", "targets are short texts of many kinds", ()
