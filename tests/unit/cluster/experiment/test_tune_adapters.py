"""One Tuner for many comparison groups: who is stopped, who is compared with whom, and what a
searcher learns. With Ray's own schedulers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from ray.tune.search import Searcher as TuneSearcher

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import TrialSpec, trial_specs
from cluster.experiment.resources import cpus_of_a_trial
from cluster.experiment.tune_adapters import GroupScheduler, proposals
from cluster.search.metric_names import ACCURACY, RESULT, ROUND, SO_FAR
from cluster.search.schedulers import ASHA, Median
from optimizer.errors import SettingsError

EASY, HARD = ("easy", 0), ("hard", 0)


def assigned(comparison_group: tuple[str, int], number: int) -> TrialSpec:
    task, seed = comparison_group
    return TrialSpec(
        trial=f"{task}-{number}", task=task, seed=seed, number=number, point={"strategy": "apo"}
    )


@dataclass(frozen=True)
class Started:
    """As much of a Tune trial as a scheduler looks at."""

    trial_id: str
    config: dict[str, Any] = field(compare=False)


class Course:
    """Trials that report to a scheduler, as Tune would pass their reports on."""

    def __init__(self, scheduler: GroupScheduler) -> None:
        self._scheduler = scheduler
        self._added: set[str] = set()

    def report(
        self,
        comparison_group: tuple[str, int],
        number: int,
        round: int,
        accuracy: float | None,
        ends_round: bool = True,
    ) -> str:
        trial_spec = assigned(comparison_group, number)
        trial = Started(trial_spec.trial, trial_spec.to_config())
        if trial.trial_id not in self._added:
            self._scheduler.on_trial_add(None, trial)
            self._added.add(trial.trial_id)
        ended = {SO_FAR: "{}"} if ends_round else {}
        return self._scheduler.on_trial_result(
            None, trial, {ROUND: round, ACCURACY: accuracy} | ended
        )


@pytest.fixture(
    params=[ASHA(reduction_factor=2).build, Median(least_trials=1).build], ids=["asha", "median"]
)
def course(request: pytest.FixtureRequest) -> Course:
    build: Callable[[], Any] = request.param
    return Course(GroupScheduler(build))


def test_the_hopeless_trial_is_stopped_after_its_grace(course: Course) -> None:
    for round in (0, 1):
        assert course.report(EASY, 0, round, 0.9) == "CONTINUE"
    assert course.report(EASY, 1, 0, 0.2) == "CONTINUE"
    assert course.report(EASY, 1, 1, 0.2) == "STOP"


def test_a_better_trial_goes_on(course: Course) -> None:
    for round in (0, 1):
        course.report(EASY, 0, round, 0.5)
    assert [course.report(EASY, 1, round, 0.6) for round in (0, 1)] == ["CONTINUE"] * 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40))
@trying(deadline=None)  # the first use of a scheduler loads it
def test_equals_are_never_stopped_by_another_task(steps: list[tuple[bool, int]]) -> None:
    """All trials of a task do equally well, so whoever is stopped was compared with the other task."""
    for build in (ASHA(reduction_factor=2).build, Median(least_trials=1).build):
        course, next_round = Course(GroupScheduler(build)), dict[tuple[bool, int], int]()
        for easy, number in steps:
            round = next_round[easy, number] = next_round.get((easy, number), -1) + 1
            assert (
                course.report(EASY if easy else HARD, number, round, 0.9 if easy else 0.3)
                == "CONTINUE"
            )


def test_another_seed_is_another_comparison_group(course: Course) -> None:
    for round in (0, 1):
        course.report(("easy", 0), 0, round, 0.9)
    assert [course.report(("easy", 1), 1, round, 0.2) for round in (0, 1)] == ["CONTINUE"] * 2


def test_a_report_within_a_round_is_not_judged(course: Course) -> None:
    for round in (0, 1):
        course.report(EASY, 0, round, 0.9)
    assert [course.report(EASY, 1, round, 0.2, ends_round=False) for round in (0, 1, 2)] == [
        "CONTINUE"
    ] * 3


def test_a_round_without_a_measurement_is_not_judged(course: Course) -> None:
    for round in (0, 1):
        course.report(EASY, 0, round, 0.9)
    assert [course.report(EASY, 1, round, None) for round in (0, 1)] == ["CONTINUE"] * 2


def test_a_trial_that_starts_again_is_judged_once_a_round(course: Course) -> None:
    course.report(EASY, 0, 0, 0.4)
    course.report(EASY, 0, 1, 0.4)
    for round in (0, 1):
        course.report(EASY, 1, round, 0.9)
    assert [course.report(EASY, 0, round, 0.4) for round in (0, 1)] == ["CONTINUE"] * 2


def settings(**search: Any) -> ExperimentSettings:
    return ExperimentSettings.model_validate(
        {
            "tasks": ["navigate", "coin_flip"],
            "strategies": ["apo", "abo"],
            "concurrency": 4,
            "search": {"space": {"strategy.beam": {"int": [1, 4]}}} | search,
        }
    )


def ended(accuracy: float | None) -> Mapping[str, Any]:
    return {RESULT: "{}", ACCURACY: accuracy}


def test_planned_points_are_handed_out_in_order() -> None:
    chosen = settings(searcher="grid")
    searcher = proposals(chosen, trial_specs(chosen))
    given = [searcher.suggest(f"id{number}") for number in range(16)]
    assert [TrialSpec.from_config(config) for config in given if isinstance(config, dict)] == list(
        trial_specs(chosen)
    )
    assert searcher.suggest("one more") == TuneSearcher.FINISHED


def test_a_study_waits_for_its_own_results_and_not_for_the_other_tasks() -> None:
    chosen = settings(searcher="optuna", trials=4)
    searcher = proposals(chosen, trial_specs(chosen))
    first = [searcher.suggest(f"id{number}") for number in range(4)]
    assert [config["trial"] for config in first if isinstance(config, dict)] == [
        "navigate-p00-s0",
        "coin_flip-p00-s0",
        "navigate-p01-s0",
        "coin_flip-p01-s0",
    ]
    assert searcher.suggest("too early") is None
    searcher.on_trial_complete("id1", dict(ended(0.5)))
    later = searcher.suggest("id4")
    assert isinstance(later, dict)
    assert later["trial"] == "coin_flip-p02-s0"


def test_a_failed_trial_does_not_hold_up_its_study() -> None:
    chosen = settings(searcher="optuna", trials=3)
    searcher = proposals(chosen, trial_specs(chosen))
    for number in range(6):
        assert isinstance(searcher.suggest(f"id{number}"), dict)
        searcher.on_trial_complete(f"id{number}", None, error=True)
    assert searcher.suggest("one more") == TuneSearcher.FINISHED


def test_tune_has_something_to_save(tmp_path: Path) -> None:
    chosen = settings(searcher="grid")
    proposals(chosen, trial_specs(chosen)).save(str(tmp_path / "state"))
    assert (tmp_path / "state").exists()


@given(st.lists(st.integers(1, 16), min_size=1, max_size=4), st.integers(1, 32))
def test_as_many_trials_fit_as_were_asked_for(cpus_by_node: list[int], trials: int) -> None:
    share = cpus_of_a_trial(cpus_by_node, 0, trials)
    assert 0 < share <= 1
    assert sum(int(cpus / share + 1e-6) for cpus in cpus_by_node) >= trials


@pytest.mark.parametrize(
    ("nodes", "held", "trials", "share"),
    [
        ([2], 0, 4, 0.5),
        ([2], 1, 4, 0.25),
        ([8], 2, 4, 1.0),
        ([2, 2], 1, 3, 1.0),
        ([1, 1], 0, 3, 0.5),
        ([4], 3.5, 1, 0.5),
    ],
)
def test_trials_share_what_the_models_leave(
    nodes: list[float], held: float, trials: int, share: float
) -> None:
    assert cpus_of_a_trial(nodes, held, trials) == share


def test_a_cluster_that_is_yet_to_grow_is_asked_for_whole_cpus() -> None:
    assert cpus_of_a_trial([0.0], 2, 4) == 1.0


def test_models_that_leave_nothing_are_named() -> None:
    with pytest.raises(
        SettingsError,
        match="The models hold 2 of the cluster's 2 CPUs, and too few are left for 4 trials",
    ):
        cpus_of_a_trial([2], 2, 4)
