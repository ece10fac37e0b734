"""The gain of a prompt over another on the items that both were measured on.

Knows no test and no verdict.
"""

from dataclasses import dataclass

from optimizer.statistics.intervals import Interval, gain_interval
from optimizer.statistics.scores import Scores, differences


@dataclass(frozen=True)
class Gain:
    """The change of the mean score from one prompt to another, over shared items alone."""

    value: float
    interval: Interval | None
    """95%: adjusted Wald for paired shares (Bonett & Price 2012), bootstrap for graded scores; None
    where it is not known which items changed.
    """
    items: int
    """Items that both have a score for."""


def gain(before: Scores, after: Scores) -> Gain | None:
    """Return the gain from `before` to `after` over the items that both have a score for.

    Args:
        before: Scores by item.
        after: Scores of the same items in the same order.

    Returns:
        The gain, or None where they share no item.

    Raises:
        ValueError: If their lengths differ.
    """
    found = differences(before, after)
    if not found:
        return None
    return Gain(sum(found) / len(found), gain_interval(before, after), len(found))
