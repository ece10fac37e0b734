"""Searcher `optuna`: each point is proposed from the results of the earlier ones, by Optuna's
tree-structured Parzen estimator, through Ray Tune's OptunaSearch. Akiba et al., "Optuna", KDD 2019;
Bergstra et al., NeurIPS 2011. Needs the package optuna.

A study learns of the trials in their order, and only of those that must have ended before the next
one starts. So its proposals depend on results and never on their timing. Where a scheduler, which
goes by timing, cuts the trials, a repeated experiment gets the same points because its decisions
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
    """Settings of the estimator. Raises SettingsError for an impossible one."""

    seed: int = 0
    startup_trials: int = 5
    """Points drawn at random before it learns (Optuna: 10, which is most of a small search [ours]).
    """

    def __post_init__(self) -> None:
        if self.startup_trials < 1:
            raise SettingsError(
                f"The setting startup_trials is {self.startup_trials}, and must be at least 1."
            )

    def check(self) -> None:
        """See Searcher."""
        if find_spec("optuna") is None:
            raise SettingsError(
                "The searcher optuna needs a package that is not installed: pip install "
                "'promptray[optuna]'."
            )

    def plan(self, space: Space, trials: int | None) -> Sequence[Point | None]:
        """See Searcher. No point is planned."""
        return [None] * (trials or TRIALS)

    def open(self, space: Space, at_once: int) -> "OptunaStudy":
        """See Searcher."""
        return OptunaStudy(self, space, at_once)


class OptunaStudy:
    """One study; see Study."""

    def __init__(self, settings: Optuna, space: Space, at_once: int) -> None:
        self._space = space
        self._at_once = max(1, at_once)
        self._search = _open(settings, space)
        self._accuracy_by_number: dict[int, float | None] = {}
        self._told = 0

    def propose(self, number: int) -> Point | None:
        """See Study. Waits for all but the last `at_once - 1` trials before this one."""
        while self._told <= number - self._at_once:
            if self._told not in self._accuracy_by_number:
                return None
            accuracy = self._accuracy_by_number[self._told]
            result = None if accuracy is None else {_ACCURACY: accuracy}
            self._search.on_trial_complete(str(self._told), result=result, error=accuracy is None)
            self._told += 1
        return self._search.suggest(str(number))

    def tell(self, number: int, accuracy: float | None) -> None:
        """See Study."""
        self._accuracy_by_number[number] = accuracy


def _open(settings: Optuna, space: Space) -> "OptunaSearch":
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(logging.WARNING)  # it says every result aloud
    sampler = optuna.samplers.TPESampler(
        seed=settings.seed, n_startup_trials=settings.startup_trials
    )

    def define(trial: Any) -> None:
        space.draw(lambda dimension: _suggested(trial, dimension))

    return OptunaSearch(define, metric=_ACCURACY, mode="max", sampler=sampler)


def _suggested(trial: Any, dimension: Dimension) -> Any:
    match dimension.domain:
        case IntRange(low, high, log):
            return trial.suggest_int(dimension.key, low, high, log=log)
        case FloatRange(low, high, log):
            return trial.suggest_float(dimension.key, low, high, log=log)
    return trial.suggest_categorical(dimension.key, dimension.domain.values)
