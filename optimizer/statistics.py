"""Intervals and paired tests on scores. A score is 0.0 to 1.0, or None where there was no answer to judge: None is left out.

Knows nothing of models or prompts. All tests are exact and need no large sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from random import Random
from statistics import NormalDist, fmean
from typing import Literal

Comparison = Literal["better", "worse", "not distinguishable"]
Scores = Sequence[float | None]


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A mean score with its Wilson interval. `mean` is None where no item was measured."""

    mean: float | None
    low: float
    high: float
    items: int


@dataclass(frozen=True)
class PairedTest:
    """How a second set of scores compares with the first, item by item."""

    p_value: float
    """Two-sided."""
    verdict: Comparison
    improved: int
    """Items that the second scores higher."""
    worsened: int
    pairs: int
    """Items that both have a score for."""


def mean_score(scores: Scores) -> float | None:
    """The mean of what was measured; None if nothing was."""
    measured = [score for score in scores if score is not None]
    return fmean(measured) if measured else None


def wilson(successes: float, items: int, confidence: float = 0.95) -> Interval:
    """The Wilson score interval of a share (Wilson 1927). No items: the whole range. Raises ValueError for an impossible share."""
    if not 0 <= successes <= items:
        raise ValueError(f"{successes} successes of {items} items is not a share.")
    if items == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, shrink = successes / items, 1 + z * z / items
    middle = (share + z * z / (2 * items)) / shrink
    half = z * sqrt(share * (1 - share) / items + z * z / (4 * items * items)) / shrink
    # Rounding may push an end past the share itself at 0 and 1.
    return Interval(max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def estimate(scores: Scores, confidence: float = 0.95) -> Estimate:
    """The mean of the measured scores with its interval."""
    measured = [score for score in scores if score is not None]
    interval = wilson(sum(measured), len(measured), confidence)
    return Estimate(mean_score(measured), interval.low, interval.high, len(measured))


def sign_test(fewer: int, more: int) -> float:
    """One-sided exact sign test: the chance of at least `more` wins in `fewer + more` fair draws."""
    draws = fewer + more
    return sum(comb(draws, wins) for wins in range(more, draws + 1)) / (1 << draws)


def paired_test(before: Scores, after: Scores, alpha: float = 0.05) -> PairedTest:
    """Exact McNemar test (McNemar 1947; exact form: two-sided binomial on the items that differ).

    Both sequences are over the same items in the same order. Raises ValueError if their lengths differ.
    """
    improved, worsened, pairs = discordant(before, after)
    p_value = min(1.0, 2 * sign_test(min(improved, worsened), max(improved, worsened)))
    verdict: Comparison = "not distinguishable"
    if p_value <= alpha:
        verdict = "better" if improved > worsened else "worse"
    return PairedTest(p_value, verdict, improved, worsened, pairs)


def discordant(before: Scores, after: Scores) -> tuple[int, int, int]:
    """Items that `after` scores higher, items that it scores lower, and items that both have a score for."""
    differences = _differences(before, after)
    return sum(d > 0 for d in differences), sum(d < 0 for d in differences), len(differences)


def bootstrap_difference(
    before: Scores, after: Scores, rng: Random, resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """Percentile bootstrap over items (Efron 1979) of the mean of `after - before`. Without a pair: from -1 to 1."""
    differences = _differences(before, after)
    if not differences:
        return Interval(-1.0, 1.0)
    means = sorted(fmean(rng.choices(differences, k=len(differences))) for _ in range(resamples))
    tail = int(resamples * (1 - confidence) / 2)
    return Interval(means[tail], means[resamples - 1 - tail])


def _differences(before: Scores, after: Scores) -> list[float]:
    pairs = zip(before, after, strict=True)
    return [second - first for first, second in pairs if first is not None and second is not None]
