"""Scores of one or two prompts, item by item.

Knows no test and no interval.
"""

from collections.abc import Sequence
from statistics import fmean

Scores = Sequence[float | None]
"""One score for each item, in order: 0.0 to 1.0, or None where there was no answer to score."""


MOST_MISSING = 0.2
"""Share of missing answers above which the rest is no measure of the whole [ours]: which calls fail
may depend on the item, and a fifth of the items moves a mean as far as prompts differ.
"""
_BINARY = frozenset((0.0, 1.0, None))
_DIGITS = 12
"""Digits of a difference: 0.3 - 0.2 and 0.2 - 0.1 must be the same, as ties count in tests."""


def is_binary(*scores: Scores) -> bool:
    """Return whether all of the scores that came are 0 or 1.

    Then the exact methods for shares apply, else those for graded scores.
    """
    return all(_BINARY.issuperset(own) for own in scores)


def too_many_missing(requested: Scores) -> bool:
    """Return whether too many of the requested scores are missing.

    One that is missing is never too many: of the first few items it would be a large share.
    """
    missing = sum(score is None for score in requested)
    return missing == len(requested) or (missing > 1 and missing > MOST_MISSING * len(requested))


def known_mean(requested: Scores) -> float | None:
    """Return the mean of the scores that came, or None where too many are missing."""
    return None if too_many_missing(requested) else mean_score(requested)


def mean_score(scores: Scores) -> float | None:
    """Return the mean of the scores that came, or None if none came."""
    measured = [score for score in scores if score is not None]
    return fmean(measured) if measured else None


def differences(before: Scores, after: Scores) -> list[float]:
    """Return `after - before` of each item that both have a score for, to 12 digits.

    Raises:
        ValueError: If their lengths differ.
    """
    pairs = zip(before, after, strict=True)
    return [
        round(second - first, _DIGITS)
        for first, second in pairs
        if first is not None and second is not None
    ]


def discordant(before: Scores, after: Scores) -> tuple[int, int, int]:
    """Return how many items `after` scores higher, how many lower, and how many both have."""
    improved = worsened = items = 0
    for first, second in zip(before, after, strict=True):
        if first is not None and second is not None:
            items += 1
            improved += second > first
            worsened += second < first
    return improved, worsened, items
