"""Scheduler `asha`: asynchronous successive halving, which lets the best trials go on.

At certain rounds only the best share of the trials continues. Li et al., "A System for Massively
Parallel Hyperparameter Tuning", arXiv 1810.05934.

Asynchronous means that a trial is judged by those that reached the round before it: the first ones
always continue.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.search.metric_names import ACCURACY, ROUND
from optimizer.errors import SettingsError

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

_MOST_ROUNDS = 1000
"""Ray needs a last round; strategies end by themselves long before."""


@dataclass(frozen=True, kw_only=True)
class ASHA:
    """Settings of successive halving.

    Trials are judged after round `grace_rounds`, then after `reduction_factor` times that round,
    and so on.
    """

    grace_rounds: int = 1
    """The first round after which a trial may be stopped; round 0 has the strategy's first prompts.
    """
    reduction_factor: int = 3
    """One in this many trials continues (the paper's eta; HyperBand's authors advise 3 or 4, arXiv
    1603.06560).
    """

    def __post_init__(self) -> None:
        if not 1 <= self.grace_rounds < _MOST_ROUNDS:
            raise SettingsError(
                f"The setting grace_rounds is {self.grace_rounds}, and must be from 1 to "
                f"{_MOST_ROUNDS - 1}."
            )
        if self.reduction_factor < 2:
            raise SettingsError(
                f"The setting reduction_factor is {self.reduction_factor}, and must be at least 2."
            )

    def build(self) -> "TrialScheduler":
        """Return Ray's scheduler for the trials of one comparison group."""
        from ray.tune.schedulers import ASHAScheduler

        return ASHAScheduler(
            time_attr=ROUND,
            metric=ACCURACY,
            mode="max",
            max_t=_MOST_ROUNDS,
            grace_period=self.grace_rounds,
            reduction_factor=self.reduction_factor,
            stop_last_trials=False,
        )
