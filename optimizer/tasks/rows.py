"""Rows of any table become examples; every fault of a table is told at once.

Knows rows, and no file format.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from optimizer.errors import DataError, shortened
from optimizer.tasks.bounds import ReadLimits, TextCounter
from optimizer.tasks.chats import OddChat, is_chat, read_chat
from optimizer.tasks.columns import (
    MISSING,
    MOST_NAMES,
    Columns,
    MissingColumns,
    Row,
    read_part,
    text_of,
)
from optimizer.types import Example, Message

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "development", "valid", "validation", "val", "eval"), "dev"),
    **dict.fromkeys(("test", "testing", "held_out", "holdout"), "test"),
}
"""What data sets call their splits -> what we do."""
_OPTION = re.compile(r"[ \t]*(?:\([A-Za-z]\)|-)[ \t]*\S.*")
"""One line: a pattern over all lines at once would try every way to divide them."""
_OTHERS = ("target_scores",)
"""Columns that are read beside those of `Columns`."""
_MOST_UNUSED = 100
_MOST_LAYOUTS = 1000
_NAMED = 5
"""Number of faulty examples that a message names."""

RowsAt = Callable[[Collection[int]], Mapping[int, Mapping[str, Any]]]
"""Gives the whole rows of examples by their numbers, from 1, as JSON values."""


@dataclass(frozen=True)
class Source:
    """The content of a file or generator: examples in their own order, duplicates included."""

    name: str
    description: str
    examples: tuple[Example, ...]
    unused: tuple[str, ...] = ()
    """Columns, or keys of rows, that are not used."""
    splits: tuple[str, ...] = ()
    """The split of each example, of optimizer.tasks.sizes.SPLITS, where the source has its own."""
    system: str = ""
    """The system message that all of its chats share."""
    notes: tuple[str, ...] = ()
    """Sentences for people on what was read otherwise than they might think."""
    rows_at: RowsAt | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Parts:
    """What a row says of its example."""

    text: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    history: tuple[Message, ...] = ()
    id: str = ""
    split: str = ""
    system: str | None = None
    """None where the row is no chat."""


class Faults:
    """The faults of a table's rows: each kind with the numbers of its examples."""

    def __init__(self) -> None:
        self._numbers_by_kind: dict[tuple[str, str], list[int]] = {}

    def add(self, number: int, what: str, cure: str) -> None:
        """Note that an example has a fault, and how that is mended."""
        self._numbers_by_kind.setdefault((what, cure), []).append(number)

    def sentences(self) -> list[str]:
        """Return a sentence without its subject for each kind."""
        return [
            f"has examples {what}: number {named(numbers)}; {cure}."
            for (what, cure), numbers in self._numbers_by_kind.items()
        ]


class RowReader:
    """Reads rows one by one, and notes their faults and the columns that they have."""

    def __init__(self, columns: Columns, answered: bool = True) -> None:
        """Read these columns; `answered`: every example must have a target."""
        self.faults = Faults()
        self.names: dict[str, None] = {}
        """Columns of all rows, the first of them where there are very many."""
        self.unused: set[str] = set()
        self._columns = columns
        self._answered = answered
        self._found: set[str] = set()
        self._layouts: dict[tuple[str, ...], dict[str, str]] = {}

    def read(self, number: int, row: Any, options: Sequence[str] = ()) -> Parts:
        """Read a row.

        Args:
            number: The row's number, for its faults.
            row: The row; what is no mapping has no input.
            options: Choices that are known of it.
        """
        if not isinstance(row, Mapping):
            row = {}
        layout = self._layout(row)
        self._found.update(layout)
        value = {part: read_part(row, specification) for part, specification in layout.items()}
        text, history, system, last = self._input(number, value.get("input"), layout.get("input"))
        answers = self._answers(number, value.get("target", last))
        choices = tuple(options) or self._choices(number, value.get("choices")) or _options(text)
        if not text.strip():
            self.faults.add(number, "without an input", "give each an input text")
        if not answers and self._answered:
            self.faults.add(number, "without an answer", "give each a target")
        split = self._split(number, value["split"]) if "split" in value else ""
        id = text_of(value.get("id"))
        if self._columns.id and not id.strip():
            self.faults.add(number, f"without {self._columns.id}", "give each an id")
        return Parts(text, answers, choices, history, id, split, system)

    def lacking(self) -> str:
        """Return what no row had, as Columns.lacking does; "" if nothing."""
        if not self.names:
            return ""
        # A key that only a late row has may be missing among the noted names.
        if len(self.names) >= MOST_NAMES and {"input", "target"} <= self._found:
            return ""
        return self._columns.lacking(self.names, self._answered)

    def _layout(self, row: Row) -> dict[str, str]:
        names = tuple(row)
        if (known := self._layouts.get(names)) is not None:
            return known
        if len(self.names) < MOST_NAMES:
            self.names.update(dict.fromkeys(names[:MOST_NAMES]))
        found = self._columns.chosen(row)
        used = {*self._columns.needed(names), *_OTHERS}
        if len(self.unused) < _MOST_UNUSED:
            self.unused.update(name for name in names if name not in used)
        if len(self._layouts) < _MOST_LAYOUTS:
            self._layouts[names] = found
        return found

    def _input(
        self, number: int, value: Any, specification: str | None
    ) -> tuple[str, tuple[Message, ...], str | None, Any]:
        """Return the input, the turns before it, the system message, and the last answer."""
        if isinstance(value, str) and specification and specification.endswith("messages"):
            value = _read_json(value, value)
        if is_chat(value):
            try:
                chat = read_chat(value)
            except OddChat as problem:
                self.faults.add(number, f"with a chat {problem}", "leave those rows out")
                return "?", (), None, MISSING
            return (
                chat.input,
                chat.history,
                chat.system,
                MISSING if chat.answer is None else chat.answer,
            )
        if odd := _kind(value):
            self.faults.add(
                number,
                f"whose input is {odd}",
                f"name a part of it, such as columns: {{input: {specification}.KEY}}, or write a "
                "template",
            )
            return "?", (), None, MISSING
        return text_of(value), (), None, MISSING

    def _answers(self, number: int, target: Any) -> tuple[str, ...]:
        """Return the accepted answers of a target: a value, or a list of them.

        A mapping, or a list in a list, is accepted as its JSON text. Empty ones are dropped.
        """
        if isinstance(target, bytes):
            self.faults.add(number, "whose target is bytes", "write it as a text")
            return ("?",)
        several = target if isinstance(target, list | tuple) else [target]
        return tuple(text for one in several if (text := text_of(one, nested=True)).strip())

    def _choices(self, number: int, value: Any) -> tuple[str, ...]:
        """Read the choices of a row: a list, or one written as JSON, as in a .csv file."""
        if value is None or value is MISSING or value == "":
            return ()
        if isinstance(value, str):
            value = _read_json(value, None)
        texts = tuple(map(text_of, value)) if isinstance(value, list | tuple) else ()
        if not texts or not all(text.strip() for text in texts):
            self.faults.add(
                number,
                "with choices that are no list of texts",
                'write them like ["yes", "no"]',
            )
            return ()
        return texts

    def _split(self, number: int, value: Any) -> str:
        name = SPLIT_NAMES.get(text_of(value).strip().casefold(), "")
        if not name:
            self.faults.add(
                number,
                f"with the split {shortened(text_of(value), 40)!r}",
                f"call each of {', '.join(SPLIT_NAMES)}",
            )
        return name


def build_source(
    path: Path | str,
    name: str,
    description: str,
    rows: Iterable[tuple[Any, Sequence[str]]],
    reader: RowReader,
    limits: ReadLimits,
    rows_at: RowsAt | None = None,
    unused: Collection[str] = (),
) -> Source:
    """Build a source from rows; examples are numbered from 1 in the order of the file.

    Args:
        path: What to call the table in messages.
        name: The name of the task.
        description: Of the task, for the optimizer model.
        rows: Each row with the choices that are known of it beside its own.
        reader: Reads them.
        limits: What may be read.
        rows_at: Reads whole rows again.
        unused: Columns that are not even read.

    Raises:
        DataError: There are no examples, or some cannot be used; it names every fault.
    """
    counter = TextCounter(Path(path), limits)
    parts: list[Parts] = []
    for number, (row, options) in enumerate(rows, 1):
        try:
            one = reader.read(number, row, options)
        except RecursionError:
            raise DataError(f"Example {number} of {path} is nested too deep.") from None
        turns = [turn.content for turn in one.history]
        counter.add_row(one.text, *one.answers, *one.choices, *turns, one.id, one.system or "")
        parts.append(one)
    if not parts:
        raise DataError(f"{path} has no examples; give it at least as many as the splits need.")
    if said := reader.lacking():
        raise MissingColumns.of(f"{path} {said}.", reader.names)
    faults = [*reader.faults.sentences(), *_repeated_ids(parts)]
    if faults:
        raise DataError(f"{path} {' It '.join(faults)}")
    systems = list(dict.fromkeys(one.system for one in parts if one.system is not None))
    return Source(
        name,
        description,
        tuple(
            Example(one.id or f"{name}/{number}", one.text, one.answers, one.choices, one.history)
            for number, one in enumerate(parts, 1)
        ),
        tuple(sorted({*reader.unused, *unused})),
        tuple(one.split for one in parts) if any(one.split for one in parts) else (),
        systems[0] or "" if len(systems) == 1 else "",
        (
            f"its chats have {len(systems)} different system messages, in whose place the prompt "
            "stands",
        )
        if len(systems) > 1
        else (),
        rows_at,
    )


def _repeated_ids(parts: Sequence[Parts]) -> list[str]:
    numbers_by_id: dict[str, list[int]] = {}
    for number, one in enumerate(parts, 1):
        if one.id:
            numbers_by_id.setdefault(one.id, []).append(number)
    twice = [numbers[1] for numbers in numbers_by_id.values() if len(numbers) > 1]
    return (
        [f"has examples with the id of another: number {named(twice)}; give each its own."]
        if twice
        else []
    )


def named(numbers: Sequence[int]) -> str:
    """Return the first numbers, and how many more there are."""
    return ", ".join(map(str, numbers[:_NAMED])) + (
        f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    )


def _kind(value: Any) -> str:
    """Return what a value is that is no text; "" for a text, or what can be one."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return "bytes" if isinstance(value, bytes) else ""


def _read_json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def _options(text: str) -> tuple[str, ...]:
    """Return the options that a BIG-Bench Hard input ends with: "(A) text", or "- text"."""
    lines = text.rstrip().split("\n")
    options = list(takewhile(_OPTION.fullmatch, reversed(lines)))[::-1]
    headed = len(options) < len(lines) and lines[-len(options) - 1].rstrip() == "Options:"
    return tuple(line.strip().removeprefix("-").strip() for line in options) if headed else ()
