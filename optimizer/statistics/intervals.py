"""Intervals for a share, and for the difference of two shares on the same items.

Knows no verdict.
"""

from dataclasses import dataclass
from math import sqrt
from random import Random
from statistics import NormalDist, fmean

from optimizer.statistics.scores import Scores, differences, mean_score


@dataclass(frozen=True)
class Interval:
    """The two ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A mean score with its Wilson interval; `mean` is None where no item was measured."""

    mean: float | None
    low: float
    high: float
    items: int


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
    interval = wilson(sum(measured), len(measured), confidence)
    return Estimate(mean_score(measured), interval.low, interval.high, len(measured))


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
        return Interval(-1.0, 1.0)
    # One pseudo-item in each direction (Bonett & Price 2012).
    up, down = (improved + 1) / (items + 2), (worsened + 1) / (items + 2)
    half = _z(confidence) * sqrt((up + down - (up - down) ** 2) / (items + 2))
    difference = (improved - worsened) / items
    return Interval(
        max(-1.0, min(difference, up - down - half)), min(1.0, max(difference, up - down + half))
    )


def bootstrap_difference(
    before: Scores, after: Scores, rng: Random, resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """Return the percentile bootstrap interval (Efron 1979) of the mean of `after - before`.

    Items are resampled. Without a pair the interval is -1 to 1.
    """
    found = differences(before, after)
    if not found:
        return Interval(-1.0, 1.0)
    means = sorted(fmean(rng.choices(found, k=len(found))) for _ in range(resamples))
    tail = int(resamples * (1 - confidence) / 2)
    return Interval(means[tail], means[resamples - 1 - tail])


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
