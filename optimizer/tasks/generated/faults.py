"""The first fault of a response to a generated item, by the item's own procedure.

A response that labels its steps is read by its blocks; in a response in free words a step is shown
where the step's values occur in order. Knows no prompt, no model and no scorer.
"""

import re
from collections.abc import Mapping, Sequence

from optimizer.prompt import read_trace
from optimizer.tasks.generated.item import SEPARATOR, Item

_WORD = re.compile(r"\(-?\d+, ?-?\d+\)|-?\d+|\w+")


def first_fault(item: Item, kinds: Sequence[str], response: str) -> str | None:
    """Return the first step that the response does not show rightly and that the answer needs.

    Args:
        item: The question.
        kinds: The steps of the whole procedure, in order.
        response: The response of a model.

    Returns:
        One of `kinds`, or None where the response shows all that the answer rests on.
    """
    shown = shown_kinds(item, kinds, response)
    return next(
        (kind for kind in kinds if kind not in shown and is_needed(item, kinds, kind)), None
    )


def is_needed(item: Item, kinds: Sequence[str], kind: str) -> bool:
    """Return whether all steps but this one lead to another answer, or to none."""
    return item.conclude([other for other in kinds if other != kind]) != item.answer


def shown_kinds(item: Item, kinds: Sequence[str], response: str) -> set[str]:
    """Return the kinds whose right values occur in the response."""
    right, written = item.work(kinds), list(read_trace(response).block_by_step.values())
    if written:
        return {kind for block in written for kind in _kind_of(block, right)}
    words = [_plain(word) for word in _WORD.findall(response)]
    return {kind for kind in kinds if _in_order(_values(right[kind]), words)}


def _values(block: str) -> list[str]:
    return [_plain(entry.split()[-1]) for entry in block.split(SEPARATOR) if entry.strip()]


def _kind_of(block: str, right: Mapping[str, str]) -> list[str]:
    """Return the one kind that a block shows, if any.

    It is the one in the same words, else the first with the same values for the same things.
    """
    same = [
        kind
        for kind, text in right.items()
        if [*map(_ends, block.split(";"))] == [*map(_ends, text.split(";"))]
    ]
    return ([kind for kind in same if right[kind] == block.strip()] or same)[:1]


def _ends(entry: str) -> tuple[str, ...]:
    """Return the first and the last word: what an entry is about, and its value."""
    words = entry.split()
    return (words[0], words[-1]) if words else ()


def _plain(word: str) -> str:
    return word.replace(" ", "").casefold()


def _in_order(values: Sequence[str], words: Sequence[str]) -> bool:
    """Return whether the values are among the words, one behind the other."""
    rest = iter(words)
    return all(value in rest for value in values)
