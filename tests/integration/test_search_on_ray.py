"""A search on a real Ray: the hopeless are stopped, tasks are kept apart, a study learns, a killed
trial is made up for.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.experiment import late_tests
from cluster.experiment.planning import TrialSpec, plan_of, trial_specs
from cluster.experiment.prepare import prepare
from cluster.experiment.trainable import Shared
from cluster.experiment.tune_adapters import GroupScheduler, proposals
from cluster.search.metric_names import ACCURACY, RESULT, ROUND, SO_FAR
from cluster.search.schedulers import ASHA, Median
from cluster.trial.plan import without_result
from cluster.trial.result import TrialResult
from optimizer.tasks.task import Task

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]


Ended = tuple[dict[str, Any], int]
"""A trial's point, and the last round that it came to."""


def tuned(
    folder: Path,
    settings: ExperimentSettings,
    accuracy_by_task: Mapping[str, float],
    scheduler: ASHA | Median,
) -> dict[str, Ended]:
    """Runs a search whose trials only report; trial -> how it ended.

    Its accuracy grows with the beam, up to the task's.
    """
    from ray import tune

    def trainable(config: dict[str, Any]) -> None:
        """Three rounds; the beam decides."""
        accuracy = accuracy_by_task[config["task"]] * config["point"]["strategy.beam"] / 4
        for round in range(3):
            tune.report({ROUND: round, ACCURACY: accuracy, SO_FAR: "{}"})
        tune.report({ROUND: 2, ACCURACY: accuracy, RESULT: "{}"})

    trials = trial_specs(settings)
    found = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 0.1}),
        tune_config=tune.TuneConfig(
            search_alg=proposals(settings, trials),
            scheduler=GroupScheduler(scheduler.build),
            num_samples=len(trials),
            max_concurrent_trials=settings.concurrency,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="t", storage_path=str(folder), verbose=0),
    ).fit()
    ended = [(TrialSpec.from_config(result.config), result.metrics) for result in found]
    return {
        trial.trial: (dict(trial.point or {}), metrics[ROUND])
        for trial, metrics in ended
        if metrics
    }


def searching(beams: list[int], searcher: Any, trials: int | None = None) -> ExperimentSettings:
    return ExperimentSettings.model_validate(
        {
            "tasks": ["navigate", "coin_flip"],
            "strategies": ["apo"],
            "concurrency": 1,
            "search": {"space": {"strategy.beam": beams}, "searcher": searcher, "trials": trials},
        }
    )


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    "scheduler", [ASHA(reduction_factor=2), Median(least_trials=1)], ids=["asha", "median"]
)
def test_one_tuner_stops_the_hopeless_of_each_task_and_compares_no_tasks(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: ASHA | Median
) -> None:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    rounds = {
        trial: round
        for trial, (_, round) in tuned(
            tmp_path, searching([3, 4, 1], "grid"), {"navigate": 1.0, "coin_flip": 0.2}, scheduler
        ).items()
    }
    # One at a time: the first of a task always goes on, the second is better, the third is the
    # hopeless one.
    assert rounds == {
        f"{task}-p0{number}-s0": 1 if number == 2 else 2
        for task in ("navigate", "coin_flip")
        for number in range(3)
    }


@pytest.mark.ray
@pytest.mark.slow
def test_optuna_proposes_points_of_the_space_and_finds_the_better_half(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    settings = searching(
        [1, 2, 3, 4], {"name": "optuna", "settings": {"startup_trials": 4}}, trials=10
    )
    beams = {
        trial: point["strategy.beam"]
        for trial, (point, _) in tuned(
            tmp_path, settings, {"navigate": 1.0, "coin_flip": 0.2}, ASHA(reduction_factor=2)
        ).items()
    }
    assert len(beams) == 20
    assert set(beams.values()) <= {1, 2, 3, 4}
    for task in ("navigate", "coin_flip"):
        later = [beams[f"{task}-p{number:02}-s0"] for number in range(5, 10)]
        assert sum(beam >= 3 for beam in later) >= 3, later


SETTINGS: dict[str, Any] = {
    "tasks": ["navigate"],
    "strategies": [
        {
            "name": "abo",
            "settings": {"rounds": 1, "decompositions": 1, "minibatch": 4, "children": 2},
        },
        {"name": "iterative_ape", "settings": {"rounds": 2, "pool": 2}},
    ],
    "search": {
        "searcher": "grid",
        "scheduler": {"name": "asha", "settings": {"reduction_factor": 2}},
    },
    "sizes": {"train": 10, "dev": 12, "test": 6},
    "budget": {"target_calls": 600, "optimizer_calls": 80},
    "concurrency": 1,
}
SAME = (
    "strategy",
    "status",
    "settings",
    "test_accuracy",
    "dev_accuracy",
    "target_calls",
    "optimizer_calls",
    "verdict",
)


def descendants(pid: int) -> set[int]:
    """The processes below a process, by /proc."""
    parent_by_pid = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent_by_pid[int(stat.parent.name)] = int(
                stat.read_text().rpartition(")")[2].split()[1]
            )
        except OSError:  # it has ended meanwhile
            continue
    found, size = {pid}, 0
    while len(found) > size:
        size = len(found)
        found |= {child for child, parent in parent_by_pid.items() if parent in found}
    return found - {pid}


def trial_process() -> int | None:
    """A trial worker of this session's Ray."""
    for child in descendants(os.getpid()):
        try:
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"ray::ImplicitFunc.train"):
                return child
        except OSError:
            continue
    return None


def run(file: Path, out: Path, kill: bool) -> str:
    """`promptray run`; with `kill`, the first trial's process is killed once it has paid for
    something.
    """
    started = subprocess.Popen(
        [*COMMAND, "run", str(file), "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        ends_at = time.monotonic() + 200
        while kill:
            assert started.poll() is None, started.communicate()[0]
            assert time.monotonic() < ends_at
            worker = (
                trial_process()
                if any(part.stat().st_size for part in out.glob("ledger/*.arrows"))
                else None
            )
            if worker:
                os.kill(worker, signal.SIGKILL)
                break
            time.sleep(0.05)
        said, _ = started.communicate(timeout=240)
    finally:
        started.kill()
        started.wait()
    assert started.returncode == 0, said
    return said


def rows(out: Path) -> dict[str, dict[str, Any]]:
    """strategy -> its row, with what it took."""
    found, costs = (
        pq.read_table(out / name).to_pylist() for name in ("trials.parquet", "costs.parquet")
    )
    return {row["strategy"]: row | cost for row, cost in zip(found, costs, strict=True)}


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_trial_is_made_up_for_and_a_pruned_one_keeps_its_prompt(
    on_local_ray: None, tmp_path: Path
) -> None:
    file, out = tmp_path / "search.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(SETTINGS))
    table = run(file, out, kill=True)
    assert "pruned at dev accuracy" in table
    after_death = rows(out)
    assert {strategy: row["status"] for strategy, row in after_death.items()} == {
        "abo": "finished",
        "iterative_ape": "pruned",
    }
    assert after_death["abo"]["ledger_hits"] > 0

    pruned = json.loads((out / "trials" / "navigate-p01-s0.json").read_text())
    assert pruned["best"]["prompt"]["instruction"]
    assert [round["number"] for round in pruned["rounds"]] == [0, 1]
    assert (pruned["dev_accuracy"] is not None, pruned["test_accuracy"]) == (True, None)
    assert "test" not in pruned["calls_by_purpose"]
    assert (
        pruned["settings"]
        == json.loads(after_death["iterative_ape"]["settings"])
        == {"strategy": "iterative_ape"}
    )
    assert (out / "best" / "navigate-p01-s0.json").exists()
    assert "navigate-p01-s0" in (out / "report.html").read_text()

    run(file, out, kill=False)
    undisturbed = rows(out)
    for strategy, row in undisturbed.items():
        assert {name: row[name] for name in SAME} == {
            name: after_death[strategy][name] for name in SAME
        }


@pytest.mark.ray
@pytest.mark.slow
def test_late_tests_have_their_time_and_what_is_lost_or_late_stays_untested(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tested(
        found: TrialResult,
        trial_spec: TrialSpec,
        settings: ExperimentSettings,
        task: Task,
        shared: Shared,
    ) -> TrialResult:
        if plan_of(settings, trial_spec).strategy_label == "apo":
            return replace(found, verdict="better")
        if plan_of(settings, trial_spec).strategy_label == "abo":
            os._exit(1)
        time.sleep(600)
        return found

    monkeypatch.setattr(late_tests, "late_test_in_worker", tested)
    strategies = ["apo", "abo", "iterative_ape"]
    experiment = prepare(
        ExperimentSettings.model_validate(
            {
                "tasks": ["navigate"],
                "strategies": strategies,
                "sizes": {"train": 2, "dev": 2, "test": 3},
                "out": str(tmp_path),
            }
        )
    )
    cut = [without_result(plan, "cancelled") for plan in experiment.plans]
    known = {trial_spec.trial: trial_spec for trial_spec in experiment.trial_specs}
    began = time.monotonic()
    found = list(late_tests.run_late(experiment, cut, known, None, 0.1, within_s=12.0))  # type: ignore[arg-type]
    assert [(one.strategy, one.verdict) for one in found] == [("apo", "better")]
    assert time.monotonic() - began < 60
