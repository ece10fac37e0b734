"""The finding of a measure: a verdict, figures with intervals, and one sentence for people.

Knows no measure.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from statistics import fmean
from typing import Any, Literal, Protocol, runtime_checkable

from optimizer.statistics import Estimate

Verdict = Literal["detected", "not detected", "cannot be told"]
"""The verdict on the fault that a measure looks for: biased reflection, invalid reflection."""
MOST = 0.5
"""A fault is detected where the whole interval of its share lies above one half: it is the rule,
not the exception [ours].
"""
RESAMPLES = 2000
"""Number of resamples of every bootstrap and every permutation test."""
TAIL = 0.025


@runtime_checkable
class Finding(Protocol):
    """The result of a measure: a frozen dataclass of plain values."""

    @property
    def verdict(self) -> str:
        """Return the verdict in words."""

    @property
    def sentence(self) -> str:
        """Return the verdict with its figures, for people."""


@dataclass(frozen=True)
class NotMeasured:
    """A finding in place of a measure that could not be made."""

    reason: str

    @property
    def verdict(self) -> str:
        """Return that the fault could not be judged."""
        return "cannot be told"

    @property
    def sentence(self) -> str:
        """Return the reason, for people."""
        return f"Cannot be told: {self.reason[:1].lower()}{self.reason[1:]}"


def to_json(finding: Any) -> dict[str, Any]:
    """Return a finding's fields, its verdict and its sentence as plain values."""
    return asdict(finding) | {"verdict": finding.verdict, "sentence": finding.sentence}


def share_above(estimate: Estimate) -> Verdict:
    """Return whether a fault is the rule, by the interval of its share."""
    if estimate.items and estimate.low > MOST:
        return "detected"
    return "not detected" if estimate.items and estimate.high < MOST else "cannot be told"


def mean_estimate(values: Sequence[float], rng: Random) -> Estimate:
    """Return a mean of any numbers with its percentile bootstrap interval (Efron 1979).

    Without a number the mean is None, from -1 to 1.
    """
    if not values:
        return Estimate(None, -1.0, 1.0, 0)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    low, high = ends(means)
    return Estimate(fmean(values), low, high, len(values))


def ends(resampled: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the 95% interval of sorted resampled figures."""
    tail = int(len(resampled) * TAIL)
    return resampled[tail], resampled[len(resampled) - 1 - tail]


def figure(estimate: Estimate) -> str:
    """Return an estimate as text: 0.92 [0.71, 1.00]."""
    return (
        "–"  # noqa: RUF001
        if estimate.mean is None
        else f"{estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    )


def chance(p_value: float | None) -> str:
    """Return a p-value for people; None where nothing could be tested."""
    if p_value is None:
        return "not tested: too few values"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
