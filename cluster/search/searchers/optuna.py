"""Searcher `optuna`: each point is proposed from the results of the earlier ones, by Optuna.

The method is the tree-structured Parzen estimator, through Ray Tune's OptunaSearch. Akiba et al.,
"Optuna", KDD 2019; Bergstra et al., NeurIPS 2011. Needs the package optuna.

A study learns of the trials in their order, and only of those that must have ended before the next
one starts. So its proposals depend on results and never on their timing. Where a scheduler, which
depends on timing, cuts the trials, a repeated experiment gets the same points because its decisions
are recorded (see ../decisions.py).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cluster.search.domains import FloatRange, IntRange
from cluster.search.searchers.searcher import TRIALS
from cluster.search.space import Dimension, Point, Space
from optimizer.errors import SettingsError

if TYPE_CHECKING:
    from ray.tune.search.optuna import OptunaSearch

_ACCURACY = "dev_accuracy"


@dataclass(frozen=True, kw_only=True)
class Optuna:
    """Settings of the estimator.

    Raises:
        SettingsError: A setting is out of range.
    """

    seed: int = 0
    startup_trials: int = 5
    """Points sampled at random before it learns (Optuna: 10, which is most of a small search
    [ours]).
    """

    def __post_init__(self) -> None:
        if self.startup_trials < 1:
            raise SettingsError(
                f"The setting startup_trials is {self.startup_trials}, and must be at least 1."
            )

    def check(self) -> None:
        """Raise SettingsError where the package optuna is not installed."""
        if find_spec("optuna") is None:
            raise SettingsError(
                "The searcher optuna needs a package that is not installed: pip install "
                "'promptray[optuna]'."
            )

    def plan(self, space: Space, trials: int | None) -> Sequence[Point | None]:
        """Return None for each trial: a study will choose the points."""
        return [None] * (trials or TRIALS)

    def open(self, space: Space, at_once: int) -> "OptunaStudy":
        """Return a study for one comparison group."""
        return OptunaStudy(self, space, at_once)


class OptunaStudy:
    """One study of Optuna; see Study."""

    def __init__(self, settings: Optuna, space: Space, at_once: int) -> None:
        self._space = space
        self._at_once = max(1, at_once)
        self._search = _open(settings, space)
        self._accuracy_by_number: dict[int, float | None] = {}
        self._reported = 0

    def propose(self, number: int) -> Point | None:
        """Return the next point, or None until the trials before it have been reported.

        All but the last `at_once - 1` trials before this one must have been reported.
        """
        while self._reported <= number - self._at_once:
            if self._reported not in self._accuracy_by_number:
                return None
            accuracy = self._accuracy_by_number[self._reported]
            result = None if accuracy is None else {_ACCURACY: accuracy}
            self._search.on_trial_complete(
                str(self._reported), result=result, error=accuracy is None
            )
            self._reported += 1
        return self._search.suggest(str(number))

    def tell(self, number: int, accuracy: float | None) -> None:
        """Record how a trial ended."""
        self._accuracy_by_number[number] = accuracy


def _open(settings: Optuna, space: Space) -> "OptunaSearch":
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(logging.WARNING)  # it logs every result
    sampler = optuna.samplers.TPESampler(
        seed=settings.seed, n_startup_trials=settings.startup_trials
    )

    def define(trial: Any) -> None:
        space.sample(lambda dimension: _suggested(trial, dimension))

    return OptunaSearch(define, metric=_ACCURACY, mode="max", sampler=sampler)


def _suggested(trial: Any, dimension: Dimension) -> Any:
    match dimension.domain:
        case IntRange(low, high, log):
            return trial.suggest_int(dimension.key, low, high, log=log)
        case FloatRange(low, high, log):
            return trial.suggest_float(dimension.key, low, high, log=log)
    return trial.suggest_categorical(dimension.key, dimension.domain.values)
