"""Which values a request may hold, how large its parts may be, and which settings it may set.

A request comes from somebody who may not read this machine's files, environment and network. So it
holds plain values, names from tables, and labels; nothing in it is a path, an address or the name
of a variable. Pure.
"""

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field, StringConstraints

from optimizer.errors import SettingsError

MOST_TEXT = 20_000
"""Characters of one text of a request, such as a baseline instruction [ours]."""
MOST_PROMPT = 200_000
"""Characters of a prompt [ours]."""
MOST_KEY = 200
"""Characters of a key, such as abo.demonstrations [ours]."""
MOST_ENTRIES = 1_000
"""Entries of one list or mapping of a request [ours]."""
MOST_DEPTH = 8
"""Levels of lists and mappings within each other; a real request has 6 [ours]."""
MOST_NUMBER = 2**53
"""Larger whole numbers are not the same in every JSON reader."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=80)]
"""The name of an entry in a table. Without dot, colon and slash it is never a module, a kind of
model or a path.
"""
Value = (
    bool
    | Annotated[int, Field(ge=-MOST_NUMBER, le=MOST_NUMBER)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, StringConstraints(max_length=MOST_TEXT)]
    | None
)
"""The value of one setting."""
Key = Annotated[str, StringConstraints(max_length=MOST_KEY)]
_GRADER = re.compile(r"(?:tasks\.[0-9]+\.)?grader")
_PROMPT = re.compile(
    r"tasks\.[0-9]+\.(?:baseline|keep\.[0-9]+)|prompts\.[0-9]+\.(?:text|prompt\.instruction)"
)
"""Where a request has a prompt, or a part of one, which may be longer than other texts."""
_NUMBERS = (bool, int, float, type(None))
_TEXTS = frozenset({"opening", "closing"})
"""Settings of strategies that are words of a prompt."""


def expect_bounded(given: Any) -> None:
    """Refuse a request with a part that is larger, or nested deeper, than any part may be.

    It visits each part once, and does not enter one that is too large.

    Raises:
        SettingsError: A part is too large, too deep, or no number that JSON has.
    """
    waiting: list[tuple[Any, int, str]] = [(given, 1, "")]
    while waiting:
        part, depth, place = waiting.pop()
        if isinstance(part, str):
            _expect_short(part, MOST_PROMPT if _PROMPT.fullmatch(place) else MOST_TEXT, place)
        elif isinstance(part, int | float):
            _expect_a_number(part, place)
        elif isinstance(part, Mapping | list | tuple):
            if len(part) > MOST_ENTRIES:
                raise SettingsError(
                    f"{place or 'The request'} has {len(part):,} entries; {MOST_ENTRIES:,} are the "
                    "most."
                )
            if depth > MOST_DEPTH:
                raise SettingsError(
                    f"{place} is nested deeper than the {MOST_DEPTH} levels that a request may "
                    "have."
                )
            waiting += _entries(part, depth, place)


def _entries(part: Any, depth: int, place: str) -> list[tuple[Any, int, str]]:
    pairs = part.items() if isinstance(part, Mapping) else enumerate(part)
    found = []
    for key, value in pairs:
        if isinstance(key, str):
            _expect_short(key, MOST_KEY, f"A key in {place or 'the request'}")
        inner = f"{place}.{key}".removeprefix(".")
        # A grader has levels of its own: one of OpenAI's holds graders, with messages, with parts.
        found.append((value, 1 if _GRADER.fullmatch(inner) else depth + 1, inner))
    return found


def _expect_short(text: str, most: int, place: str) -> None:
    if len(text) > most:
        raise SettingsError(
            f"{place or 'The request'} has {len(text):,} characters; {most:,} are the most."
        )


def _expect_a_number(number: float, place: str) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise SettingsError(f"{place or 'The request'} is no number that JSON has.")
    if abs(number) > MOST_NUMBER and isinstance(number, int):
        raise SettingsError(
            f"{place or 'The request'} is a whole number beyond {MOST_NUMBER:,}, more than any "
            "setting takes."
        )


@cache
def harmless_settings(kind: Any, *, texts: bool) -> frozenset[str]:
    """Return the settings of a component that a request may set.

    These are numbers, switches and choices from a fixed list. A setting of any other type, which
    might be a path or a name that is imported, is left out, whoever wrote the class.

    Args:
        kind: The class of a strategy, selection rule, searcher or scheduler.
        texts: Whether to include the settings that are words of a prompt.
    """
    hints = get_type_hints(kind)
    fields = getattr(kind, "__dataclass_fields__", {})
    return frozenset(
        name
        for name in fields
        if _is_plain(hints[name]) or (texts and name in _TEXTS and hints[name] is str)
    )


def _is_plain(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return True
    if get_origin(hint) is Union or type(hint).__name__ == "UnionType":
        return all(_is_plain(one) for one in get_args(hint))
    return hint in _NUMBERS
