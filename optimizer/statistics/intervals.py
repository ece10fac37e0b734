"""Intervals for a mean score, and for the mean difference of two prompts on the same items.

Scores of 0 and 1 have intervals for shares, and graded scores those of `bootstrap`: the scores
themselves decide. Knows no verdict.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal

from optimizer.statistics.bootstrap import bootstrap_difference_ends, bootstrap_ends
from optimizer.statistics.scores import Scores, differences, discordant, is_binary, mean_score

IntervalKind = Literal["Wilson", "adjusted Wald", "bootstrap"]


@dataclass(frozen=True)
class Interval:
    """The two ends of an interval, and how they were found."""

    low: float
    high: float
    kind: IntervalKind = "Wilson"


@dataclass(frozen=True)
class Estimate:
    """A mean score with its interval; `mean` is None where no item was measured."""

    mean: float | None
    low: float
    high: float
    items: int
    kind: IntervalKind = "Wilson"
    """How the interval was found: "Wilson" for shares, "bootstrap" for graded scores."""


def wilson(successes: float, items: int, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a share (Wilson 1927); without items the whole range.

    Raises:
        ValueError: For an impossible share.
    """
    if not 0 <= successes <= items:
        raise ValueError(f"{successes} successes of {items} items is not a share.")
    if items == 0:
        return Interval(0.0, 1.0)
    z = _z(confidence)
    share, shrink = successes / items, 1 + z * z / items
    middle = (share + z * z / (2 * items)) / shrink
    half = z * sqrt(share * (1 - share) / items + z * z / (4 * items * items)) / shrink
    # Rounding may push an end past the share itself at 0 and 1.
    return Interval(max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def estimate(scores: Scores, confidence: float = 0.95) -> Estimate:
    """Return the mean of the measured scores with its interval."""
    measured = [score for score in scores if score is not None]
    interval = (
        wilson(sum(measured), len(measured), confidence)
        if is_binary(measured)
        else Interval(*bootstrap_ends(measured, (0.0, 1.0), confidence), "bootstrap")
    )
    return Estimate(mean_score(measured), interval.low, interval.high, len(measured), interval.kind)


def difference_interval(
    improved: int, worsened: int, items: int, confidence: float = 0.95
) -> Interval:
    """Return the interval of (improved - worsened) / items, two shares on the same items.

    Adjusted Wald: a pseudo-item is added to either kind of change (Bonett & Price 2012, "Adjusted
    Wald confidence interval for a difference of binomial proportions based on paired data").
    Without items it is -1 to 1.

    Raises:
        ValueError: For impossible counts.
    """
    if min(improved, worsened) < 0 or improved + worsened > items:
        raise ValueError(f"{improved} improved and {worsened} worsened of {items} items cannot be.")
    if items == 0:
        return Interval(-1.0, 1.0, "adjusted Wald")
    # One pseudo-item in each direction (Bonett & Price 2012).
    up, down = (improved + 1) / (items + 2), (worsened + 1) / (items + 2)
    half = _z(confidence) * sqrt((up + down - (up - down) ** 2) / (items + 2))
    difference = (improved - worsened) / items
    return Interval(
        max(-1.0, min(difference, up - down - half)),
        min(1.0, max(difference, up - down + half)),
        "adjusted Wald",
    )


def gain_interval(before: Scores, after: Scores, confidence: float = 0.95) -> Interval:
    """Return the interval of the mean of `after - before`, over the items that both have.

    Adjusted Wald for scores of 0 and 1 alone, else a bootstrap over the items. Without a shared
    item it is -1 to 1.

    Raises:
        ValueError: If their lengths differ.
    """
    if is_binary(before, after):
        return difference_interval(*discordant(before, after), confidence)
    found = differences(before, after)
    if not found:
        return Interval(-1.0, 1.0, "bootstrap")
    return Interval(*bootstrap_difference_ends(found, confidence), "bootstrap")


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
