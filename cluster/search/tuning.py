"""A search as Ray Tune sees it: one searcher and one scheduler that keep the contests apart inside. Knows no trial's content.

All trials of an experiment run in one Tuner, side by side; a trial is compared only with those of its own task and seed.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from cluster.plans import Assignment, Contest
from cluster.reporting import ACCURACY, ROUND, SO_FAR
from cluster.search.searchers import Study
from cluster.settings import ExperimentSettings


def proposals(settings: ExperimentSettings, assignments: Sequence[Assignment]) -> "Proposals":
    """The Tune searcher of an experiment, with or without a search."""
    contests = list(dict.fromkeys(assignment.contest for assignment in assignments))
    at_once = math.ceil(settings.concurrency / max(1, len(contests)))
    searcher = settings.search.searcher.build() if settings.search else None
    studies = {contest: searcher.open(settings.space(), at_once) for contest in contests} if searcher else {}
    return Proposals(assignments, {contest: study for contest, study in studies.items() if study})


class Proposals(Searcher):
    """Hands out assignments in their order, each with its point: the planned one, or one that its contest's study proposes."""

    def __init__(self, assignments: Sequence[Assignment], study_by_contest: Mapping[Contest, Study]) -> None:
        super().__init__()
        self._waiting = list(assignments)
        self._study_by_contest = study_by_contest
        self._given: dict[str, Assignment] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # Ray's type forgets FINISHED
        """The next assignment whose point is known, as a Tune configuration; None while all wait for results."""
        if not self._waiting:
            finished: str = Searcher.FINISHED
            return finished
        for place, assignment in enumerate(self._waiting):
            point = assignment.point
            if point is None:
                point = self._study_by_contest[assignment.contest].propose(assignment.number)
            if point is not None:
                self._given[trial_id] = self._waiting.pop(place)
                return assignment.to_config() | {"point": dict(point)}
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells a study how its trial ended: with the dev accuracy of its last report."""
        assignment = self._given.pop(trial_id)
        if study := self._study_by_contest.get(assignment.contest):
            study.tell(assignment.number, (result or {}).get(ACCURACY))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a run that was cut is repeated, and answered by its ledger."""
        Path(checkpoint_path).touch()


class ContestScheduler(FIFOScheduler):
    """One scheduler for each contest, which sees only reports that end a round, and each round once: a trial that is started again
    after a crash goes through its rounds anew. `build` makes the scheduler of one contest.
    """

    def __init__(self, build: Callable[[], TrialScheduler]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._scheduler_by_contest: defaultdict[Contest, TrialScheduler] = defaultdict(build)
        self._round_by_trial: dict[str, int] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """CONTINUE or STOP."""
        if SO_FAR not in result or result[ACCURACY] is None or result[ROUND] <= self._round_by_trial.get(trial.trial_id, -1):
            go_on: str = TrialScheduler.CONTINUE
            return go_on
        self._round_by_trial[trial.trial_id] = result[ROUND]
        decision: str = self._of(trial).on_trial_result(tune_controller, trial, result)
        return decision

    def _of(self, trial: Any) -> TrialScheduler:
        return self._scheduler_by_contest[Assignment.from_config(trial.config).contest]
