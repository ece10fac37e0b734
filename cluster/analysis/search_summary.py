"""Summarize what a search found, and how many calls it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from cluster.trial.result import TrialResult

MOST_POINTS = 30
"""Points of each task that the report ranks."""


@dataclass(frozen=True)
class Found:
    """The state of a search when one of its trials had ended."""

    trial: TrialResult
    target_calls: int
    """Target calls of this trial and all before it."""
    best: float
    """The highest dev accuracy of this trial and all before it."""


def searched(results: Sequence[TrialResult]) -> bool:
    """Return whether any trial is a point of a search."""
    return any(result.settings for result in results)


def found(trials: Sequence[TrialResult]) -> list[Found]:
    """Return the course of one comparison, in the order in which its trials were started.

    Trials that measured nothing are left out.
    """
    in_order = sorted(trials, key=lambda trial: trial.trial)
    measured = [(trial, trial.dev_accuracy) for trial in in_order if trial.dev_accuracy is not None]
    calls = accumulate(trial.target_calls for trial, _ in measured)
    best = accumulate((accuracy for _, accuracy in measured), max)
    return [
        Found(trial, spent, highest)
        for (trial, _), spent, highest in zip(measured, calls, best, strict=True)
    ]
