"""JSON values in texts, and how two of them differ: parsed, flattened, compared, shown.

A value is read in a code fence or not, with any text around it. Every search takes time that is
bounded, whatever the text.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.errors import shortened

_FENCED = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]*\n(.*?)^[ \t]*(?:```|~~~)[ \t]*$", re.M | re.S)
_STARTS = re.compile(r"[{\[]")
_MOST_STARTS = 200
"""Maximum number of places at which a value is tried to be read: each takes time with the length
of the text [ours].
"""
MOST_DEPTH = 50
"""Values that are nested deeper are no answers [ours]."""


def parsed(text: str) -> Any:
    """Return the JSON value that a text is.

    Raises:
        ValueError: It is none, or is nested too deeply.
    """
    try:
        return _shallow(json.loads(text, parse_constant=_refuse))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def values_in(text: str) -> list[Any]:
    """Return the objects and lists of a text, the one that counts most first.

    That is the whole text, else the last code fence that holds one, else the last one of the text.
    """
    for body in (text, *reversed(_FENCED.findall(text))):
        try:
            value = parsed(body)
        except ValueError:
            continue
        if isinstance(value, dict | list):
            return [value]
    return list(_embedded(text))[::-1]


def _embedded(text: str) -> Iterator[Any]:
    """Yield the values that stand in a text, in their order, none that is a part of another."""
    decoder, place = json.JSONDecoder(parse_constant=_refuse), 0
    for _ in range(_MOST_STARTS):
        start = _STARTS.search(text, place)
        if start is None:
            return
        try:
            value, place = decoder.raw_decode(text, start.start())
            yield _shallow(value)
        except (ValueError, RecursionError):
            place = max(place, start.end())


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _shallow(value: Any) -> Any:
    """Return a value that is not nested too deeply; else raise ValueError."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return value
    raise ValueError("it is nested too deeply")


def fields_of(value: Any, whole: frozenset[str], prefix: str = "") -> dict[str, Any]:
    """Return the fields of an object by path, such as `address.city`.

    Lists are fields, and so are objects at the paths in `whole`, and empty ones.
    """
    if not isinstance(value, Mapping) or prefix in whole or (prefix and not value):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= fields_of(inner, whole, f"{prefix}.{key}" if prefix else str(key))
    return found


def equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are the same: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return one.strip() == other.strip()
    if one is None or other is None:
        return one is other
    return isinstance(one, int | float) and isinstance(other, int | float) and one == other


def canonical(value: Any) -> str:
    """Return a text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def shown(value: Any, most: int = 60) -> str:
    """Return a value for a sentence."""
    return shortened(json.dumps(value, ensure_ascii=False), most)
