"""Which parts of a row are an example's: named columns, paths into nested values, or templates.

A template is a text with fields in double braces, `{{question}}`. What a row puts into it is never
read as a template again.
"""

import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from itertools import islice
from typing import Any, Final

from optimizer.errors import DataError, shortened
from optimizer.json_values import json_text
from optimizer.types import Example

Row = Mapping[str, Any]
_FIELD = re.compile(r"\{\{[ \t]*([^{}\n]{1,200}?)[ \t]*\}\}")
_PLACE = re.compile(
    r"\{\{?[ \t]*(?:input|question|text|query|prompt|user_input|context|example)[ \t]*\}?\}"
)
_ITEM = "item."
"""What stands before the fields in templates of OpenAI's graders."""
MOST_NAMES = 1000
"""Number of a table's columns that are noted to name them [ours]."""
_LIKE = {
    "input": ("text", "question", "prompt", "query", "instruction", "sentence", "content", "body"),
    "target": ("label", "answer", "output", "expected", "completion", "response", "class", "gold"),
}
"""Names that other data sets have for a part, for the proposal in a message."""


_ALWAYS_TARGET = ("target_scores",)
"""Columns that hold targets whatever else does, as BIG-bench has them."""


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING
"""What a row has at a path that it does not have; None is a value."""


class MissingColumns(DataError):
    """A table lacks a column that a part of its examples is looked for in."""

    names: tuple[str, ...] = ()
    """The columns that it has, the first of them where there are very many."""

    @classmethod
    def of(cls, message: str, names: Iterable[str]) -> "MissingColumns":
        """Return the error with the columns that are there."""
        problem = cls(message)
        problem.names = tuple(islice(map(str, names), MOST_NAMES))
        return problem


@dataclass(frozen=True)
class Columns:
    """The columns of the parts of an example; "" takes the usual names.

    Input and target may be a column, a path into it (`user.name`, `answers.0`) or a template.
    """

    input: str = ""
    """Usually `input`, or `messages` of a chat."""
    target: str = ""
    """Usually `target`, or `ideal`."""
    choices: str = ""
    """Usually `choices`; a path too."""
    id: str = ""
    """Usually none: the examples are numbered."""
    split: str = ""
    """Usually none: the splits are drawn."""

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Return for each part the specifications to try in turn."""
        return {
            "input": (self.input,) if self.input else ("input", "messages"),
            "target": (self.target,) if self.target else ("target", "ideal"),
            "choices": (self.choices or "choices",),
            "id": (self.id,) if self.id else (),
            "split": (self.split,) if self.split else (),
        }

    def chosen(self, names: Container[str]) -> dict[str, str]:
        """Return for each part the specification that a row with these columns has it by."""
        return {
            part: found
            for part, specifications in self.parts.items()
            if (found := _first_known(specifications, names)) is not None
        }

    def of_target(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of a table's columns that hold its targets: nothing that answers sees them.

        A chat has its target in its last turn.
        """
        known = set(names)
        chosen = self.chosen(known)
        specifications = [chosen[part] for part in ("target",) if part in chosen]
        specifications += ["messages"] if self._is_chat(known) else []
        found = {column_of(path, known) for one in specifications for path in paths_in(one)}
        return tuple(name for name in names if name in found or name in _ALWAYS_TARGET)

    def needed(self, names: Sequence[str]) -> list[str]:
        """Return those of a table's columns that hold a part, in their own order."""
        known = set(names)
        found = {
            column_of(path, known)
            for specification in self.chosen(known).values()
            for path in paths_in(specification)
        }
        return [name for name in names if name in found]

    def lacking(self, names: Iterable[str], answered: bool = True) -> str:
        """Return what a table with these columns lacks, with the nearest it has; "" if nothing.

        The text continues a sentence that begins with the table's name.

        Args:
            names: The columns.
            answered: Whether every example must have a target.
        """
        has = list(dict.fromkeys(names))
        known = set(has)
        missing: list[str] = []
        meant: dict[str, str] = {}
        for part, specifications in self.parts.items():
            given = bool(getattr(self, part))
            if not specifications or any(
                all(column_of(path, known) for path in paths_in(one)) for one in specifications
            ):
                continue
            if not given and (part == "choices" or (part == "target" and not answered)):
                continue
            # A chat has its target in its last turn.
            if not given and part == "target" and self._is_chat(known):
                continue
            for path in paths_in(specifications[0]):
                if column_of(path, known) is None:
                    missing.append(path)
                    if near := _nearest(part, path, has):
                        meant[part if path == specifications[0] else path] = near
        if not missing:
            return ""
        listed = shortened(", ".join(map(str, has[:100])))
        mend = ", ".join(f"{part}: {near}" for part, near in meant.items())
        return (
            f"has no column {' and no column '.join(dict.fromkeys(missing))}; it has: {listed}"
            + (f" (did you mean columns: {{{shortened(mend)}}}?)" if mend else "")
        )

    @classmethod
    def guessed(cls, names: Sequence[str]) -> "Columns":
        """Return the columns that a table's parts may be in, as far as its names tell.

        It is a proposal to show to people. A part that no name tells of is the first column, or the
        last.
        """
        known = set(names)
        if "messages" in known:
            return cls(input="messages")
        guess = {part: "" if part in known else _nearest(part, part, names) for part in _LIKE}
        rest = [name for name in names if name not in guess.values()] or [*names, ""]
        return cls(
            guess["input"] or ("" if "input" in known else rest[0]),
            guess["target"] or ("" if {"target", "ideal"} & known else rest[-1]),
        )

    def _is_chat(self, known: set[str]) -> bool:
        return self.input == "messages" or (
            not self.input and "messages" in known and "input" not in known
        )


def visible_row(example: Example, target_columns: Container[str]) -> dict[str, Any]:
    """Return what a model that is a program may see of an example: its row, without targets.

    It has the example's `id` and `input` where the row has no columns of these names.

    Args:
        example: The example, with its row.
        target_columns: The columns of the row that hold targets.
    """
    row = {key: one for key, one in example.fields.items() if key not in target_columns}
    return {"id": example.id, "input": example.input} | row


def _first_known(specifications: Sequence[str], names: Container[str]) -> str | None:
    """Return the first specification of which a row has all fields, else the first with any."""
    for enough in (all, any):
        for one in specifications:
            if enough(column_of(path, names) is not None for path in paths_in(one)):
                return one
    return None


def _nearest(part: str, path: str, has: Sequence[str]) -> str:
    """Return the column that is meant by a path, as far as its name tells; "" if none is."""
    names = [str(name) for name in has[:1000]]
    near = get_close_matches(path, names, n=1)
    alike = [name for name in names if name.casefold() in _LIKE.get(part, ())]
    # No name of another data set is like ours, and "text" is like "target" by its letters alone.
    return next(iter(alike or near if path == part else near or alike), "")


def is_template(specification: str) -> bool:
    """Return whether a specification is a template."""
    return bool(_FIELD.search(specification))


def place_notes(prompt: str) -> list[str]:
    """Return a note where a prompt has a place for the input, as prompts of other tools have it.

    Such a place is never filled: the input is a message of its own, and what a row holds is data.
    """
    found = list(dict.fromkeys(_PLACE.findall(prompt)))
    if not found:
        return []
    places = ", ".join(found[:3])
    return [
        f"{places} in the baseline is no place that is filled: it is sent as it stands, and the "
        "input follows as a message of its own"
    ]


def paths_in(specification: str) -> list[str]:
    """Return the paths that a specification reads."""
    return _FIELD.findall(specification) if is_template(specification) else [specification]


def column_of(path: str, names: Container[str]) -> str | None:
    """Return the column in which a path begins, the longest that fits; None if there is none."""
    found = _resolved(path, names)
    return found[0] if found else None


def value_at(row: Row, path: str) -> Any:
    """Return what a row has at a path, MISSING if it has nothing there.

    A text on the way is read as JSON, as a .csv file has nested values.
    """
    found = _resolved(path, row)
    if found is None:
        return MISSING
    value = row[found[0]]
    for key in found[1]:
        value = _within(value, key)
    return value


def _resolved(path: str, names: Container[str]) -> tuple[str, list[str]] | None:
    """Return the column in which a path begins, and the keys behind it."""
    for one in (path, path.removeprefix(_ITEM)):
        parts = one.split(".")
        for cut in range(len(parts), 0, -1):
            if (column := ".".join(parts[:cut])) in names:
                return column, parts[cut:]
    return None


def _within(value: Any, key: str) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return MISSING
    if isinstance(value, Mapping):
        return value.get(key, MISSING)
    if isinstance(value, list | tuple) and key.isascii() and key.isdigit() and len(key) < 10:
        return value[int(key)] if int(key) < len(value) else MISSING
    return MISSING


def read_part(row: Row, specification: str) -> Any:
    """Return what a specification says of a row: a value, or a template's text.

    Returns:
        MISSING if the row has none of its fields.
    """
    if not is_template(specification):
        return value_at(row, specification)
    values = {path: value_at(row, path) for path in paths_in(specification)}
    if all(value is MISSING for value in values.values()):
        return MISSING
    # One pass: braces in what a row has stay what they are.
    return _FIELD.sub(lambda found: text_of(values[found[1]], nested=True), specification)


def text_of(value: Any, *, nested: bool = False) -> str:
    """Return a cell as text.

    Args:
        value: The cell.
        nested: Write mappings and lists as JSON; else they give "".

    Returns:
        The text; "" for None, for NaN (an empty cell of a number column), and for values that have
        no text.
    """
    if isinstance(value, str | int):
        return str(value)
    if value != value:  # NaN, and pandas' NaT, which is a date
        return ""
    if isinstance(value, float):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else ""
    if isinstance(value, date | time):
        return value.isoformat()
    if nested and isinstance(value, Mapping | list | tuple):
        return json_text(value)
    return ""
