"""Find what changed between two texts, word by word."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

_WORDS = re.compile(r"\n|[^\S\n]+|[^\s]+")
_LEAST_ALIKE = 0.3
"""Below this ratio two texts share filler words only: a mixture of both cannot be read, so they are
shown one after the other [ours].
"""
_THIN_WORDS = 2
_MOST_WORDS = 4000
"""Above this number no diff is computed: difflib's time grows with the square of the length [ours].
"""
_MOST_PAIRS = 50_000
"""Pairs of equal words in the two texts [ours].

With more of them, words that come often are matched only beside rarer ones: trying them all takes
the cube of their number.
"""


@dataclass(frozen=True)
class Piece:
    """A run of text that is in both texts, or in one of them only."""

    kind: Literal["same", "removed", "added"]
    text: str


def word_diff(old: str, new: str) -> tuple[Piece, ...]:
    """Return the pieces in reading order.

    The same and removed ones joined are `old`; the same and added ones joined are `new`.
    """
    if old == new:
        return (Piece("same", old),) if old else ()
    old_words, new_words = _WORDS.findall(old), _WORDS.findall(new)
    if len(old_words) + len(new_words) > _MOST_WORDS:
        return _apart(old, new)
    count_by_word = Counter(old_words)
    # The matcher looks at every pair of equal words: above this many it may leave out common ones.
    pairs = sum(count_by_word[word] for word in new_words)
    matcher = SequenceMatcher(None, old_words, new_words, autojunk=pairs > _MOST_PAIRS)
    if matcher.quick_ratio() < _LEAST_ALIKE or matcher.ratio() < _LEAST_ALIKE:
        return _apart(old, new)
    return tuple(_pieces(matcher, old_words, new_words))


def _apart(old: str, new: str) -> tuple[Piece, ...]:
    return tuple(piece for piece in (Piece("removed", old), Piece("added", new)) if piece.text)


def _pieces(matcher: "SequenceMatcher[str]", old: list[str], new: list[str]) -> Iterator[Piece]:
    """Yield the pieces of a diff.

    A few words between two changes are shown as changed too: a chance "of the" in a new sentence
    only makes it hard to read.
    """
    removed = added = ""
    operations = matcher.get_opcodes()
    for place, (operation, old_start, old_end, new_start, new_end) in enumerate(operations):
        gone, came = "".join(old[old_start:old_end]), "".join(new[new_start:new_end])
        thin = "\n" not in gone and len(gone.split()) <= _THIN_WORDS
        if operation != "equal" or (thin and 0 < place < len(operations) - 1):
            removed, added = removed + gone, added + came
            continue
        yield from _changes(removed, added)
        yield Piece("same", gone)
        removed = added = ""
    yield from _changes(removed, added)


def _changes(removed: str, added: str) -> Iterator[Piece]:
    yield from (piece for piece in (Piece("removed", removed), Piece("added", added)) if piece.text)
