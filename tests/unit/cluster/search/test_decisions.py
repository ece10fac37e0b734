"""A search that is cut anywhere and goes on decides as it would have: with Ray's own schedulers and
Optuna, and without Ray.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher as TuneSearcher

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import TrialSpec, trial_specs
from cluster.experiment.tune_adapters import GroupScheduler, proposals
from cluster.search.decisions import (
    Decision,
    Decisions,
    Ended,
    Given,
    Judged,
    Opened,
    from_json,
    to_json,
)
from cluster.search.metric_names import ACCURACY, RESULT, ROUND, SO_FAR
from cluster.search.schedulers import ASHA, Median
from optimizer.errors import DataError, SettingsError, StorageError
from tests.contracts.examples import examples

accuracies = st.floats(0, 1)
names = st.text(max_size=8)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names
decided = st.one_of(
    st.builds(Opened, st.integers(1, 99)),
    st.builds(Given, names, st.dictionaries(names, values, max_size=3)),
    st.builds(Ended, names, st.none() | accuracies),
    st.builds(Judged, names, names, st.integers(), st.integers(0, 9), accuracies, st.booleans()),
)


@given(decided)
@settings(deadline=None)
def test_a_decision_survives_json(decision: Decision) -> None:
    again = from_json(json.loads(json.dumps(to_json(decision))))
    assert (again, repr(again)) == (decision, repr(decision))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "guessed"},
        {"kind": "ended", "trial": "a"},
        {"kind": "opened", "more": 1},
        [],
        3,
    ],
)
def test_another_thing_is_no_decision(data: Any) -> None:
    with pytest.raises(DataError, match="not a decision"):
        from_json(data)


@given(st.lists(decided, max_size=12), st.integers(0, 12))
@settings(deadline=None)
def test_a_part_of_a_record_and_the_rest_are_the_whole(made: list[Decision], cut: int) -> None:
    kept: list[Decision] = []
    whole, parts = Decisions(made), Decisions(made[:cut], kept.append)
    for decision in made[cut:]:
        parts.add(decision)
    assert (parts.made, parts.at_once, kept) == (whole.made, whole.at_once, made[cut:])
    for trial in whole.trials:
        assert parts.point_of(trial) == whole.point_of(trial)
        assert (parts.has_ended(trial), parts.last_round(trial)) == (
            whole.has_ended(trial),
            whole.last_round(trial),
        )
        assert [parts.goes_on(trial, round) for round in range(10)] == [
            whole.goes_on(trial, round) for round in range(10)
        ]


@dataclass(frozen=True)
class Started:
    """As much of a Tune trial as the scheduler of an experiment looks at; its id is another in each
    run.
    """

    trial_id: str
    config: dict[str, Any]


Step = tuple[int, int]
"""A trial's number, and a round."""
BUILDS: list[Callable[[], TrialScheduler]] = [
    ASHA(reduction_factor=2).build,
    Median(least_trials=1).build,
]


def report(scheduler: GroupScheduler, step: Step, accuracy: float) -> bool:
    """Every third trial is of another task. Does it go on?"""
    number, round = step
    trial_spec = TrialSpec(
        trial=f"t{number}",
        task=f"k{number % 3 // 2}",
        seed=0,
        number=number,
        point={"strategy": "apo"},
    )
    trial = Started(f"{id(scheduler)}-{number}", trial_spec.to_config())
    return (
        scheduler.on_trial_result(None, trial, {ROUND: round, ACCURACY: accuracy, SO_FAR: "{}"})
        == TrialScheduler.CONTINUE
    )


def uncut(
    build: Callable[[], TrialScheduler], picks: Iterable[int], accuracy_of: dict[Step, float]
) -> tuple[Judged, ...]:
    """A whole run, in which the picked trial is the next that reports, until it is stopped."""
    decisions = Decisions()
    scheduler, next_round = GroupScheduler(build, decisions), dict[int, int]()
    for number in picks:
        round = next_round.get(number, 0)
        if (number, round) in accuracy_of:
            next_round[number] = (
                round + 1 if report(scheduler, (number, round), accuracy_of[number, round]) else 99
            )
    return decisions.judged


def shuffled(before: list[Step], after: list[Step], rng: Random) -> list[Step]:
    """The steps that were recorded in any order that trials allow, and among them the others in
    their own.
    """
    before, after, order = list(before), list(after), list[Step]()
    while before or after:
        possible = [
            step
            for place, step in enumerate(before)
            if step[0] not in {number for number, _ in before[:place]}
        ]
        if after and after[0][0] not in {number for number, _ in before}:
            possible.append(after[0])
        chosen = rng.choice(possible)
        (before if chosen in before else after).remove(chosen)
        order.append(chosen)
    return order


@given(
    st.lists(st.integers(0, 5), max_size=24),
    st.lists(accuracies, min_size=24, max_size=24),
    st.randoms(use_true_random=False),
)
@settings(max_examples=examples(60), deadline=None)
def test_cut_anywhere_and_shuffled_a_scheduler_decides_the_same(
    picks: list[int], scores: list[float], rng: Random
) -> None:
    accuracy_of = {
        (number, round): scores[4 * number + round] for number in range(6) for round in range(4)
    }
    for build in BUILDS:
        whole = uncut(build, picks, accuracy_of)
        steps = [(int(judged.trial[1:]), judged.round) for judged in whole]
        verdict_of = {step: judged.goes_on for step, judged in zip(steps, whole, strict=True)}
        for cut in range(len(whole) + 1):
            decisions = Decisions(whole[:cut])
            scheduler = GroupScheduler(build, decisions)
            for step in shuffled(steps[:cut], steps[cut:], rng):
                assert report(scheduler, step, accuracy_of[step]) == verdict_of[step]
            assert decisions.made == whole


SEARCH = ExperimentSettings.model_validate(
    {
        "tasks": ["navigate", "coin_flip"],
        "strategies": ["apo", "abo"],
        "concurrency": 4,
        "search": {
            "space": {
                "strategy.beam": {"int": [1, 9]},
                "strategy.temperature": {"float": [0.0, 1.0]},
            },
            "trials": 5,
            "searcher": {"name": "optuna", "settings": {"startup_trials": 2}},
            "scheduler": {"name": "asha", "settings": {"reduction_factor": 2}},
        },
    }
)
ROUNDS = 3


class Run:
    """As Tune runs a search, with trials whose accuracy is a matter of their point."""

    def __init__(self, decisions: Decisions, rng: Random) -> None:
        self.decisions, self._rng = decisions, rng
        self._scheduler = GroupScheduler(ASHA(reduction_factor=2).build, decisions)
        self._proposals = proposals(SEARCH, trial_specs(SEARCH), decisions)
        self._running: dict[str, tuple[dict[str, Any], int]] = {}

    def run(self, order: tuple[Decision, ...] = ()) -> tuple[Decision, ...]:
        """To its end: what is decided already comes in any order, the rest in `order`, or else in
        any.
        """
        self._fill()
        while self._running:
            due = {id: self._due(*state, order) for id, state in self._running.items()}
            chosen = [id for id in due if due[id] in self.decisions.made or not order]
            self._step(
                self._rng.choice(chosen)
                if chosen
                else min(due, key=lambda id: order.index(due[id]))
            )
            self._fill()
        return self.decisions.made

    def _fill(self) -> None:
        while len(self._running) < SEARCH.concurrency:
            id = f"{self._rng.random()}"
            config = self._proposals.suggest(id)
            if not isinstance(config, dict):
                return
            self._running[id] = config, 0

    def _due(
        self, config: dict[str, Any], round: int, order: tuple[Decision, ...]
    ) -> Decision | None:
        """The decision in `order` that its next step will bring, or the last of those that it will
        repeat.
        """
        trial = config["trial"]
        ends = round == ROUNDS or self.decisions.goes_on(trial, round) is False
        return next(
            (
                decision
                for decision in order
                if isinstance(decision, Ended if ends else Judged)
                and decision.trial == trial
                and (ends or decision.round == round)
            ),
            None,
        )  # type: ignore[union-attr]

    def _step(self, id: str) -> None:
        config, round = self._running[id]
        accuracy = self._accuracy(config, min(round, ROUNDS - 1))
        if round == ROUNDS:
            self._end(id, {RESULT: "{}", ACCURACY: accuracy})
            return
        result = {ROUND: round, ACCURACY: accuracy, SO_FAR: "{}"}
        if (
            self._scheduler.on_trial_result(None, Started(id, config), result)
            == TrialScheduler.STOP
        ):
            self._end(id, result | {"done": True})
        else:
            self._running[id] = config, round + 1

    def _end(self, id: str, result: dict[str, Any]) -> None:
        del self._running[id]
        self._proposals.on_trial_complete(id, result)

    @staticmethod
    def _accuracy(config: dict[str, Any], round: int) -> float:
        point = config["point"]
        return (
            round / 10
            + float(point["strategy.beam"]) / 20
            + float(point["strategy.temperature"]) / 7
        )


WHOLE = Run(Decisions(), Random(1)).run()


def test_the_run_that_is_cut_has_every_kind_of_decision_and_a_pruned_trial() -> None:
    assert {type(decision) for decision in WHOLE} == {Opened, Given, Ended, Judged}
    assert {decision.goes_on for decision in WHOLE if isinstance(decision, Judged)} == {True, False}
    assert sum(isinstance(decision, Given) for decision in WHOLE) == 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cut_anywhere_a_search_goes_on_to_the_same_end(seed: int) -> None:
    for cut in range(len(WHOLE) + 1):
        kept: list[Decision] = []
        decisions = Decisions(WHOLE[:cut], kept.append)
        assert Run(decisions, Random(seed)).run(WHOLE) == WHOLE
        assert tuple(kept) == WHOLE[cut:]


def test_without_the_record_it_would_not() -> None:
    """So the test above can fail."""
    others = [Run(Decisions(), Random(seed)).run() for seed in range(2, 6)]
    assert any(sorted(map(repr, other)) != sorted(map(repr, WHOLE)) for other in others)


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_study_goes_on_with_the_pace_that_it_began_with(concurrency: int) -> None:
    other = SEARCH.model_copy(update={"concurrency": concurrency})
    decisions = Decisions(WHOLE)
    proposals(other, trial_specs(other), decisions)
    assert decisions.made == WHOLE
    assert decisions.at_once == 2


def test_what_is_not_kept_is_not_acted_on() -> None:
    def full(decision: Decision) -> None:
        raise StorageError("The disk is full.")

    decisions = Decisions(WHOLE[:1], full)
    with pytest.raises(StorageError):
        proposals(SEARCH, trial_specs(SEARCH), decisions).suggest("id")
    with pytest.raises(StorageError):
        report(GroupScheduler(BUILDS[0], decisions), (0, 1), 0.5)
    assert decisions.made == WHOLE[:1]


def test_a_trial_that_is_interrupted_has_not_ended() -> None:
    decisions = Decisions()
    searcher = proposals(SEARCH, trial_specs(SEARCH), decisions)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {ROUND: 1, ACCURACY: 0.5, SO_FAR: "{}"})
    assert not any(isinstance(decision, Ended) for decision in decisions.made)


def test_a_study_that_proposes_another_point_is_refused() -> None:
    place = next(place for place, decision in enumerate(WHOLE) if isinstance(decision, Given))
    odd = Given(WHOLE[place].trial, {"strategy": "apo"})  # type: ignore[union-attr]
    with pytest.raises(
        SettingsError,
        match="does not propose again what it gave navigate-p00-s0; install the versions",
    ):
        proposals(SEARCH, trial_specs(SEARCH), Decisions((*WHOLE[:place], odd)))


def test_a_scheduler_that_decides_otherwise_is_refused() -> None:
    with pytest.raises(
        SettingsError, match="does not decide again what it did on t0 after round 1"
    ):
        GroupScheduler(BUILDS[0], Decisions([Judged("t0", "k0", 0, 1, 0.5, False)]))


def test_planned_points_need_no_record() -> None:
    chosen = SEARCH.model_copy(
        update={
            "search": SEARCH.search
            and SEARCH.search.model_copy(
                update={"searcher": type(SEARCH.search.searcher)(name="random"), "trials": 2}
            )
        }
    )
    decisions = Decisions()
    searcher = proposals(chosen, trial_specs(chosen), decisions)
    for number in range(4):
        assert isinstance(searcher.suggest(f"id{number}"), dict)
        searcher.on_trial_complete(f"id{number}", {RESULT: "{}", ACCURACY: 0.5})
    assert (searcher.suggest("more"), decisions.made) == (TuneSearcher.FINISHED, ())
