"""Is a foreign regular expression safe to match? Python's matcher tries every way in which repeats can share a text, without limit.

Two rules. A repeat must not hold what can itself match in several ways (another repeat, or alternatives that begin alike): their
ways multiply with every turn, so such a pattern is refused. Repeats that stand in a row only give the text's length to the power
of their number, so the text that a pattern may meet is as long as its repeats allow. Knows no example and no scorer.
"""

import re
from collections.abc import Iterable, Iterator
from math import comb
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MOST_PATTERN_CHARACTERS = 10_000
MOST_TEXT_CHARACTERS = 500
"""More is not an answer [ours]."""
LEAST_TEXT_CHARACTERS = 20
MOST_WAYS = 10_000_000
"""Of sharing a text among repeats: tried in less than a second [ours]."""
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT)


def why_unsafe(pattern: str) -> str | None:
    """What is wrong with a pattern, as the end of a sentence; None where it can be used. Never raises."""
    if len(pattern) > MOST_PATTERN_CHARACTERS:
        return f"is longer than {MOST_PATTERN_CHARACTERS} characters; write a shorter one"
    try:
        tree = parser.parse(pattern)
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as problem:
        return f"is not a regular expression: {problem}"
    if any(_is_ambiguous(body) for body in _repeated(tree)):
        return ("repeats a group that has a repeat in it, or alternatives that begin alike, which can take for ever to match; "
                "write it without these")
    if longest_text(pattern) < LEAST_TEXT_CHARACTERS:
        return "has so many repeats that it can take for ever to match; write it with fewer"
    return None


def longest_text(pattern: str) -> int:
    """The characters of a text that the pattern, which is safe, can be matched with in moments."""
    lengths = range(MOST_TEXT_CHARACTERS, 0, -20)
    widths = [width for width in map(_width, _items(parser.parse(pattern))) if width > 1]
    return next((length for length in lengths if _ways(widths, length) <= MOST_WAYS), 0)


def _ways(widths: list[int], length: int) -> int:
    wide = sum(width > length for width in widths)
    ways = comb(length + wide, wide)
    for width in widths:
        ways *= 1 if width > length else width
    return ways


def _width(item: tuple[Any, Any]) -> int:
    """In how many ways a part can match: the counts of a repeat, the alternatives of a choice."""
    code, value = item
    if code in _REPEATS:
        return int(value[1]) - int(value[0]) + 1
    return len(value[1]) if code is codes.BRANCH and not _begin_apart(value[1]) else 1


def _items(tree: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Every part of a parsed pattern, with those inside it."""
    for item in tree:
        yield item
        yield from _items(_inside(item[1]))


def _inside(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, parser.SubPattern):
        yield from value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _inside(part)


def _repeated(tree: Iterable[Any]) -> Iterator[Any]:
    """What stands inside each repeat that can take more than one turn."""
    return (value[2] for code, value in _items(tree) if code in _REPEATS and int(value[1]) > 1)


def _is_ambiguous(body: Any) -> bool:
    return any(_width(item) > 1 for item in _items(body))


def _begin_apart(alternatives: Iterable[Any]) -> bool:
    """Does each begin with a character of its own? Only characters that stand there as they are are looked at."""
    first = [alternative[0] if len(alternative) else None for alternative in alternatives]
    letters = [chr(item[1]).casefold() for item in first if item and item[0] is codes.LITERAL]
    return len(letters) == len(first) == len(set(letters))
