"""What went into a schema and did not come out.

Some schemas drop an unknown key without a word. Knows plain data only.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def lost(given: Any, kept: Any, place: str = "") -> Iterator[str]:
    """The place of every key in `given` that `kept`, the same data as a schema gives it back,
    lacks.
    """
    if isinstance(given, Mapping):
        known = kept if isinstance(kept, Mapping) else {}
        for key, value in given.items():
            here = f"{place}.{key}" if place else str(key)
            if key in known:
                yield from lost(value, known[key], here)
            else:
                yield f"{here} is not known"
    elif isinstance(given, list):
        for number, value in enumerate(given):
            counterpart = (
                kept[number] if isinstance(kept, list | tuple) and number < len(kept) else None
            )
            yield from lost(value, counterpart, f"{place}[{number}]")
