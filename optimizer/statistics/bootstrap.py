"""Bootstrap intervals for graded scores: of a mean, and of a mean difference on the same items.

The percentile bootstrap (Efron 1979) over the items and one pseudo-item at either end of the scale,
as the adjusted Wald interval has them for shares (Bonett & Price 2012) [ours]. Without them no
bootstrap holds where scores are mostly zero, or mostly tied: items that were not seen, such as the
first one above zero, are in no resample. Measured on scores of five shapes with 20 to 300 items
(`python -m tests.benchmarks.graded_false_positives`), it holds the true mean in 94% to 100% of the
samples. Percentile intervals hold it in 73% to 97%, BCa in 78% to 98%, and percentile-t in 87% to
100%, of scores that are mostly zero four times as wide. Of scores that differ little from each
other ours is wider than need be, by less than 3 / items at either end.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from statistics import fmean

import numpy as np
import numpy.typing as npt

RESAMPLES = 1_999
"""So that (RESAMPLES + 1) * 0.025 is whole (Davison & Hinkley 1997)."""
_CACHED_ITEMS = 300
_INDICES_AT_ONCE = 1 << 20
_DIGITS = 9
"""Digits of an end: the order in which a machine adds must not show."""

Floats = npt.NDArray[np.float64]


def bootstrap_ends(
    values: Sequence[float], scale: tuple[float, float], confidence: float = 0.95
) -> tuple[float, float]:
    """Return the ends of the interval of the mean of some values.

    Deterministic: the resamples are seeded by the number of the values, whatever their order.

    Args:
        values: The values, all within the scale; at least one.
        scale: The least and the greatest value there can be.
        confidence: Share of the resampled means between the ends.
    """
    data = np.asarray([*sorted(values), *scale], dtype=np.float64)
    return _ends(data.tobytes(), confidence)


def bootstrap_difference_ends(
    differences: Sequence[float], confidence: float = 0.95
) -> tuple[float, float]:
    """Return the ends of the interval of the mean of some differences of scores.

    Of the differences with the other sign it has the other ends, to the last digit.
    """
    ordered, turned = sorted(differences), sorted(-change for change in differences)
    low, high = bootstrap_ends(max(ordered, turned), (-1.0, 1.0), confidence)
    # Differences that are their own mirror image have an interval that is; the resamples are not.
    if ordered == turned:
        most = max(-low, high)
        return -most, most
    return (low, high) if ordered > turned else (-high, -low)


# A report asks for the same interval several times; 128 of 20,000 items hold 20 MB.
@lru_cache(maxsize=128)
def _ends(data_as_bytes: bytes, confidence: float) -> tuple[float, float]:
    data: Floats = np.frombuffer(data_as_bytes)
    mean = fmean(data[:-2].tolist())
    means = np.sort(
        _counts(len(data)) @ data / len(data)
        if len(data) <= _CACHED_ITEMS
        else np.concatenate([data[rows].mean(axis=1) for rows in _resamples(len(data))])
    )
    tail = round((RESAMPLES + 1) * (1 - confidence) / 2)
    low, high = (round(float(means[place]), _DIGITS) for place in (tail - 1, RESAMPLES - tail))
    # The pseudo-items pull the middle inwards; the interval must hold the mean itself.
    return min(mean, low), max(mean, high)


@lru_cache(maxsize=4)
def _counts(size: int) -> Floats:
    """Return how often each of `size` values stands in each resample.

    Shape (RESAMPLES, size). The same for all data of one size, so that a page of thousands of
    candidates takes no longer than drawing them once.
    """
    return np.concatenate(
        [
            np.bincount(
                (rows + size * np.arange(len(rows))[:, None]).ravel(), minlength=size * len(rows)
            )
            .reshape(len(rows), size)
            .astype(np.float64)
            for rows in _resamples(size)
        ]
    )


def _resamples(size: int) -> Iterator[npt.NDArray[np.int32]]:
    """Yield blocks of resamples: the places of `size` values, drawn with replacement."""
    rng, left = np.random.default_rng(size), RESAMPLES
    while left:
        rows = min(left, max(1, _INDICES_AT_ONCE // size))
        yield rng.integers(0, size, (rows, size), dtype=np.int32)
        left -= rows
