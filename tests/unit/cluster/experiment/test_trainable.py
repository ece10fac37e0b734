"""What a trial's worker tells Tune, and how it ends: with a result, stopped by Tune, or unbuilt."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.config.experiment import ExperimentSettings
from cluster.experiment import trainable
from cluster.experiment.planning import TrialSpec, trial_specs
from cluster.experiment.trainable import Shared, late_test_in_worker, run_in_worker
from cluster.search.metric_names import RESULT, SO_FAR
from cluster.trial.plan import without_result
from cluster.trial.result import TrialResult
from optimizer.errors import SettingsError
from optimizer.protocols import LanguageModel
from optimizer.tasks.task import Task
from serving.ledger import Ledger
from serving.ledger.coordinator import LedgerCoordinator
from serving.models import open_in_process
from tests.contracts.trials import small_plan

SETTINGS = ExperimentSettings.model_validate(
    {
        "tasks": ["navigate"],
        "strategies": [{"name": "iterative_ape", "settings": {"rounds": 2, "pool": 2}}],
        "sizes": {"train": 4, "dev": 4, "test": 4},
        "target": {"kind": "builtin", "name": "optimizer"},
    }
)
Report = Callable[[dict[str, Any]], None]


@pytest.fixture
def spec() -> TrialSpec:
    (only,) = trial_specs(SETTINGS)
    return only


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    with Ledger(tmp_path / "ledger") as ledger:
        yield Shared(LedgerCoordinator(ledger))


class Told:
    """The reports that Tune has taken; it wants no more after `most` of them."""

    def __init__(self, most: int = 10**6) -> None:
        self.reports: list[dict[str, Any]] = []
        self._most = most
        self._refused = False

    def __call__(self, metrics: dict[str, Any]) -> None:
        assert not self._refused, "it was told already"
        if len(self.reports) >= self._most:
            self._refused = True
            raise SystemExit(0)
        self.reports.append(metrics)


def run(spec: TrialSpec, shared: Shared, told: Told, patch: pytest.MonkeyPatch, **how: Any) -> None:
    connect: Callable[..., LanguageModel] = how.get(
        "connect", lambda model, _: open_in_process(model)
    )
    patch.setattr(trainable, "connect", connect)
    patch.setattr(trainable.tune, "report", told)
    patch.setattr(trainable, "REPORT_EVERY_S", 0.01)
    tasks = {spec.comparison_group: loaded()}
    run_in_worker(spec.to_config(), settings=SETTINGS, tasks=tasks, shared=shared)


def loaded() -> Task:
    from optimizer.tasks.loading import load_task
    from optimizer.tasks.task import Sizes

    return load_task("navigate", sizes=Sizes(4, 4, 4), seed=0)


def results(told: Told) -> list[TrialResult]:
    return [TrialResult.from_json(json.loads(one[RESULT])) for one in told.reports if RESULT in one]


def test_each_round_is_told_and_the_result_comes_last_and_once(
    spec: TrialSpec, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(spec, shared, told := Told(), monkeypatch)
    (result,) = results(told)
    assert RESULT in told.reports[-1]
    assert (result.trial, result.status) == (spec.trial, "finished")
    so_far = [json.loads(one[SO_FAR]) for one in told.reports if SO_FAR in one]
    assert [len(one["rounds"]) for one in so_far] == [1, 2, 3]
    assert {one["status"] for one in so_far} == {"pruned"}
    assert told.reports[-1]["target_calls"] == result.target_calls


@pytest.mark.parametrize("taken", [0, 1])
def test_a_trial_that_tune_wants_no_more_ends_as_tune_expects_and_says_nothing_else(
    spec: TrialSpec, shared: Shared, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    told = Told(taken)
    with pytest.raises(SystemExit) as stopped:
        run(spec, shared, told, monkeypatch)
    assert stopped.value.code == 0
    assert len(told.reports) == taken
    assert results(told) == []


class Budget:
    """The experiment's budget, as the trial's process sees it."""

    def __init__(self) -> None:
        self.closed: list[bool] = []

    def of(self, trial: str) -> "Budget":
        return self

    async def close(self, done: bool) -> None:
        self.closed.append(done)


def test_a_trial_that_cannot_be_built_has_failed_and_holds_no_budget(
    spec: TrialSpec, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> LanguageModel:
        raise SettingsError("There is no key.")

    async def untimed(*_: object) -> None:
        return None

    monkeypatch.setattr(trainable, "_timed", untimed)
    budget = Budget()
    with_budget = Shared(shared.ledger, budget)  # type: ignore[arg-type]
    run(spec, with_budget, told := Told(), monkeypatch, connect=refused)
    (result,) = results(told)
    assert (result.status, result.error) == ("failed", "There is no key.")
    assert budget.closed == [False]


def test_a_late_test_that_cannot_be_built_leaves_what_was_found(
    spec: TrialSpec, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> LanguageModel:
        raise SettingsError("There is no key.")

    monkeypatch.setattr(trainable, "connect", refused)
    found = without_result(small_plan(), "cancelled")
    assert late_test_in_worker(found, spec, SETTINGS, loaded(), shared) == (found, b"")


async def test_a_tests_cost_is_held_by_every_budget() -> None:
    class Held:
        def __init__(self) -> None:
            self.costs: list[object] = []

        async def hold(self, cost: object) -> None:
            self.costs.append(cost)

    one, other = Held(), Held()
    await trainable._Reserves((one, other)).hold("a cost")  # type: ignore[arg-type]
    assert one.costs == other.costs == ["a cost"]
