"""Adapt a search to Ray Tune: one searcher and one scheduler that separate comparison groups.

All trials of an experiment run in one Tuner, side by side; a trial is compared only with those of
its own task and seed. Recorded decisions (see cluster/search/decisions.py) are repeated; new ones
are recorded before Tune gets them.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import ComparisonGroup, TrialSpec
from cluster.search.decisions import Decisions, Ended, Given, Judged, Opened
from cluster.search.metric_names import ACCURACY, RESULT, ROUND, SO_FAR
from cluster.search.searchers import Study
from cluster.search.space import Point
from optimizer.errors import SettingsError


def proposals(
    settings: ExperimentSettings,
    trial_specs: Sequence[TrialSpec],
    decisions: Decisions | None = None,
) -> "Proposals":
    """Return the Tune searcher of an experiment, with or without a search.

    Raises:
        SettingsError: `decisions` are those of another search.
    """
    decisions = Decisions() if decisions is None else decisions
    comparison_groups = list(
        dict.fromkeys(trial_spec.comparison_group for trial_spec in trial_specs)
    )
    at_once = decisions.at_once or math.ceil(settings.concurrency / max(1, len(comparison_groups)))
    searcher = settings.search.searcher.build() if settings.search else None
    opened = (
        {
            comparison_group: searcher.open(settings.space(), at_once)
            for comparison_group in comparison_groups
        }
        if searcher
        else {}
    )
    studies = {comparison_group: study for comparison_group, study in opened.items() if study}
    if studies and decisions.at_once is None:
        decisions.add(Opened(at_once))
    return Proposals(trial_specs, studies, decisions)


class Proposals(Searcher):
    """Gives out trials in their order, with their planned points or those of their studies."""

    def __init__(
        self,
        trial_specs: Sequence[TrialSpec],
        study_by_comparison_group: Mapping[ComparisonGroup, Study],
        decisions: Decisions,
    ) -> None:
        super().__init__()
        self._waiting = list(trial_specs)
        self._study_by_comparison_group = study_by_comparison_group
        self._decisions = decisions
        self._given: dict[str, TrialSpec] = {}
        self._repeat()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # Ray's type forgets FINISHED
        """Return the next trial with a known point as a Tune configuration; None while all wait."""
        if not self._waiting:
            finished: str = Searcher.FINISHED
            return finished
        for place, trial_spec in enumerate(self._waiting):
            point = self._point_of(trial_spec)
            if point is not None:
                self._given[trial_id] = self._waiting.pop(place)
                return trial_spec.to_config() | {"point": dict(point)}
        return None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Report to a study how its trial ended: with the dev accuracy of its last report.

        An end that was recorded before is not recorded again.
        """
        trial_spec, last = self._given[trial_id], result or {}
        study = self._study_by_comparison_group.get(trial_spec.comparison_group)
        if study and not self._decisions.has_ended(trial_spec.trial):
            accuracy = last.get(ACCURACY)
            # Otherwise the whole run is being interrupted, and the trial has not ended.
            if error or RESULT in last or (SO_FAR in last and last.get("done")):
                self._decisions.add(Ended(trial_spec.trial, accuracy))
            study.tell(trial_spec.number, accuracy)
        del self._given[trial_id]

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: a cut run is repeated, with its ledger and its decisions."""
        Path(checkpoint_path).touch()

    def _point_of(self, trial_spec: TrialSpec) -> Point | None:
        point = (
            self._decisions.point_of(trial_spec.trial)
            if trial_spec.point is None
            else trial_spec.point
        )
        if point is None:
            point = self._study_by_comparison_group[trial_spec.comparison_group].propose(
                trial_spec.number
            )
            if point is not None:
                self._decisions.add(Given(trial_spec.trial, dict(point)))
        return point

    def _repeat(self) -> None:
        """Bring the studies to the state in which they were."""
        trial_spec_by_trial = {trial_spec.trial: trial_spec for trial_spec in self._waiting}
        for decision in self._decisions.made:
            if not isinstance(decision, Given | Ended):
                continue
            trial_spec = trial_spec_by_trial[decision.trial]
            study = self._study_by_comparison_group[trial_spec.comparison_group]
            if isinstance(decision, Ended):
                study.tell(trial_spec.number, decision.accuracy)
            elif study.propose(trial_spec.number) != decision.point:
                raise _another(f"the searcher does not propose again what it gave {decision.trial}")


class GroupScheduler(FIFOScheduler):
    """One scheduler for each comparison group.

    It gets only reports that end a round, and each round once: a trial that is started again after
    a crash repeats its rounds. `build` makes the scheduler of one comparison group.

    Raises:
        SettingsError: `decisions` are not those of such schedulers.
    """

    def __init__(
        self, build: Callable[[], TrialScheduler], decisions: Decisions | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._decisions = Decisions() if decisions is None else decisions
        self._scheduler_by_comparison_group: defaultdict[ComparisonGroup, TrialScheduler] = (
            defaultdict(build)
        )
        self._added: set[_Contender] = set()
        for judged in self._decisions.judged:
            if (
                self._judge((judged.task, judged.seed), judged.trial, judged.round, judged.accuracy)
                != judged.goes_on
            ):
                raise _another(
                    f"the scheduler does not decide again what it did on {judged.trial} after "
                    f"round {judged.round}"
                )

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return CONTINUE or STOP."""
        goes_on = SO_FAR not in result or self._goes_on(
            TrialSpec.from_config(trial.config), result[ROUND], result[ACCURACY]
        )
        decision: str = TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP
        return decision

    def _goes_on(self, trial_spec: TrialSpec, round: int, accuracy: float | None) -> bool:
        trial = trial_spec.trial
        known = self._decisions.goes_on(trial, round)
        if known is not None:
            return known
        if accuracy is None or round <= self._decisions.last_round(trial):
            return True
        goes_on = self._judge(trial_spec.comparison_group, trial, round, accuracy)
        self._decisions.add(
            Judged(trial, trial_spec.task, trial_spec.seed, round, accuracy, goes_on)
        )
        return goes_on

    def _judge(
        self, comparison_group: ComparisonGroup, trial: str, round: int, accuracy: float
    ) -> bool:
        scheduler, contender = (
            self._scheduler_by_comparison_group[comparison_group],
            _Contender(trial),
        )
        if contender not in self._added:
            self._added.add(contender)
            scheduler.on_trial_add(None, contender)  # type: ignore[arg-type]
        decision = scheduler.on_trial_result(None, contender, {ROUND: round, ACCURACY: accuracy})  # type: ignore[arg-type]
        return bool(decision != TrialScheduler.STOP)


@dataclass(frozen=True)
class _Contender:
    """A trial as a comparison group's scheduler sees it.

    It has our name in place of Tune's, which differs in each run. Neither scheduler uses more of a
    trial, nor the controller.
    """

    trial_id: str


def _another(finding: str) -> SettingsError:
    return SettingsError(
        f"The recorded decisions of this search cannot be repeated: {finding}; install the "
        "versions of Ray and Optuna that it "
        "was run with, name another folder with --out, or remove the results folder's 'decisions' "
        "to let the search decide again."
    )
