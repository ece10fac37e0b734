"""Scheduler `median`: stops a trial whose best round is below the median of the others' means.

The means are the other trials' running means. Golovin et al., "Google Vizier", KDD 2017.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.search.metric_names import ACCURACY, ROUND
from optimizer.errors import SettingsError

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


@dataclass(frozen=True, kw_only=True)
class Median:
    """Settings of the median rule."""

    grace_rounds: int = 1
    """The first round after which a trial may be stopped; round 0 has the strategy's first prompts.
    """
    least_trials: int = 3
    """Other trials that must have come as far before anything is stopped (Ray's default)."""

    def __post_init__(self) -> None:
        for name, value in (
            ("grace_rounds", self.grace_rounds),
            ("least_trials", self.least_trials),
        ):
            if value < 1:
                raise SettingsError(f"The setting {name} is {value}, and must be at least 1.")

    def build(self) -> "TrialScheduler":
        """Return Ray's scheduler for the trials of one comparison group."""
        from ray.tune.schedulers import MedianStoppingRule

        # While it has too few trials to judge by, Ray would pause one after `min_time_slice`, and
        # start it from the beginning later: never.
        return MedianStoppingRule(
            time_attr=ROUND,
            metric=ACCURACY,
            mode="max",
            grace_period=self.grace_rounds,
            min_samples_required=self.least_trials,
            min_time_slice=math.inf,  # type: ignore[arg-type]
        )
