"""Scores of one or two prompts, item by item. Knows no test and no interval."""

from collections.abc import Sequence
from statistics import fmean

Scores = Sequence[float | None]
"""One a item, in the items' order: 0.0 to 1.0, or None where there was no answer to judge."""


MOST_MISSING = 0.2
"""Share of the answers that were asked for, above which what came is no measure of the whole
[ours]: which calls fail may depend on what was asked, and a fifth of the items moves a mean as far
as prompts differ.
"""


def too_many_missing(asked: Scores) -> bool:
    """Of items that were all asked.

    One that is missing is never too many: of the first few items it would be a large share.
    """
    missing = sum(score is None for score in asked)
    return missing == len(asked) or (missing > 1 and missing > MOST_MISSING * len(asked))


def known_mean(asked: Scores) -> float | None:
    """The mean of what was measured of items that were all asked; None where too many of them are
    missing.
    """
    return None if too_many_missing(asked) else mean_score(asked)


def mean_score(scores: Scores) -> float | None:
    """The mean of what was measured; None if nothing was."""
    measured = [score for score in scores if score is not None]
    return fmean(measured) if measured else None


def differences(before: Scores, after: Scores) -> list[float]:
    """`after - before` of each item that both have a score for.

    Raises ValueError if their lengths differ.
    """
    pairs = zip(before, after, strict=True)
    return [second - first for first, second in pairs if first is not None and second is not None]


def discordant(before: Scores, after: Scores) -> tuple[int, int, int]:
    """Items that `after` scores higher, items that it scores lower, and items that both have a
    score for.
    """
    found = differences(before, after)
    return sum(d > 0 for d in found), sum(d < 0 for d in found), len(found)
