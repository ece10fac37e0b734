"""Comparison of a response's step with the right result."""

from itertools import zip_longest


def same_values(written: str, right: str) -> bool:
    """Return whether two blocks show the same values for the same things."""
    return [_ends(entry) for entry in written.split(";")] == [
        _ends(entry) for entry in right.split(";")
    ]


def difference(written: str, right: str) -> str:
    """Return the first difference between two blocks, in words."""
    pairs = zip_longest(written.split(";"), right.split(";"), fillvalue="nothing")
    here, wanted = next(
        (pair for pair in pairs if _ends(pair[0]) != _ends(pair[1])), (written, right)
    )
    return f'it says "{here.strip()}" where "{wanted.strip()}" is right'


def _ends(entry: str) -> tuple[str, ...]:
    """Return the first and the last word: what an entry is about, and its value."""
    words = entry.split()
    return (words[0], words[-1]) if words else ()
