"""Where a response to a generated item first goes wrong, by the item's own procedure.

Knows no prompt, no model and no scorer.

A response that labels its steps is read by its blocks; one in free words shows a step where the
step's values stand in it, in order.
"""

import re
from collections.abc import Mapping, Sequence

from optimizer.prompt import read_trace
from optimizer.tasks.generated.item import SEPARATOR, Item

_WORD = re.compile(r"\(-?\d+, ?-?\d+\)|-?\d+|\w+")


def first_fault(item: Item, kinds: Sequence[str], response: str) -> str | None:
    """The first of `kinds` that the response does not show rightly and without which the right
    answer does not follow.

    `kinds` are the steps of the whole procedure, in order. None where all that the answer rests on
    is shown.
    """
    shown = shown_kinds(item, kinds, response)
    return next(
        (kind for kind in kinds if kind not in shown and is_needed(item, kinds, kind)), None
    )


def is_needed(item: Item, kinds: Sequence[str], kind: str) -> bool:
    """Whether one who does all steps but this one comes to another answer, or to none."""
    return item.conclude([other for other in kinds if other != kind]) != item.answer


def shown_kinds(item: Item, kinds: Sequence[str], response: str) -> set[str]:
    """The kinds whose right values stand in the response."""
    right, written = item.work(kinds), list(read_trace(response).block_by_step.values())
    if written:
        return {kind for block in written for kind in _kind_of(block, right)}
    words = [_plain(word) for word in _WORD.findall(response)]
    return {kind for kind in kinds if _in_order(_values(right[kind]), words)}


def _values(block: str) -> list[str]:
    return [_plain(entry.split()[-1]) for entry in block.split(SEPARATOR) if entry.strip()]


def _kind_of(block: str, right: Mapping[str, str]) -> list[str]:
    """The one kind that a block shows, if any: that in the same words, else the first with the same
    values for the same things.
    """
    same = [
        kind
        for kind, text in right.items()
        if [*map(_ends, block.split(";"))] == [*map(_ends, text.split(";"))]
    ]
    return ([kind for kind in same if right[kind] == block.strip()] or same)[:1]


def _ends(entry: str) -> tuple[str, ...]:
    """The first and the last word: what an entry is about, and its value."""
    words = entry.split()
    return (words[0], words[-1]) if words else ()


def _plain(word: str) -> str:
    return word.replace(" ", "").casefold()


def _in_order(values: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the values are among the words, one behind the other."""
    rest = iter(words)
    return all(value in rest for value in values)
