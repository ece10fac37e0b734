"""A search through the real command, whose driver is killed: run again, it repeats what was decided
and goes on from there.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from ray import tune

from cluster.experiment.planning import TrialSpec
from cluster.experiment.runner import cause_of
from cluster.experiment.tune_adapters import GroupScheduler, Proposals
from cluster.search.decisions import Decision, Decisions
from cluster.search.metric_names import ACCURACY, ROUND, SO_FAR
from cluster.search.schedulers import ASHA
from optimizer.errors import StorageError

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
SETTINGS: dict[str, Any] = {
    "tasks": ["navigate"],
    "strategies": [{"name": "iterative_ape", "settings": {"rounds": 3}}],
    "search": {
        "space": {"strategy.pool": {"int": [2, 5]}, "strategy.temperature": {"float": [0.3, 1.0]}},
        "trials": 6,
        "searcher": {"name": "optuna", "settings": {"startup_trials": 2}},
        "scheduler": {"name": "asha", "settings": {"reduction_factor": 2}},
    },
    "sizes": {"train": 8, "dev": 12, "test": 6},
    "budget": {"target_calls": 400, "optimizer_calls": 60},
    "concurrency": 2,
}


def start(file: Path, out: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "run", str(file), "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(file: Path, out: Path) -> None:
    started = start(file, out)
    said, _ = started.communicate(timeout=240)
    assert started.returncode == 0, said


def run_and_kill(file: Path, out: Path, after: int) -> None:
    """SIGKILL to the driver once so many decisions are on storage."""
    started, ends_at = start(file, out), time.monotonic() + 200
    try:
        while len(decided(out)) < after:
            assert started.poll() is None, started.communicate()[0]
            assert time.monotonic() < ends_at
            time.sleep(0.01)
    finally:
        os.kill(started.pid, signal.SIGKILL)
        started.communicate()


def decided(out: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted((out / "decisions").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out / "trials.parquet").to_pylist()
    return found


def candidates(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out / "candidates.parquet").to_pylist()
    return found


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_whose_driver_is_killed_goes_on_as_it_had_decided(
    on_local_ray: None, tmp_path: Path
) -> None:
    file, out = tmp_path / "search.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(SETTINGS))
    run_and_kill(file, out, after=8)
    before = decided(out)
    assert {"opened", "given", "judged"} <= {decision["kind"] for decision in before}

    run(file, out)
    whole = decided(out)
    assert whole[: len(before)] == before
    assert len([decision for decision in whole if decision["kind"] == "given"]) == 6
    finished, found = rows(out), candidates(out)
    judged = {
        (decision["trial"], decision["round"]): decision["goes_on"]
        for decision in whole
        if decision["kind"] == "judged"
    }
    stopped = {trial for (trial, _), goes_on in judged.items() if not goes_on}
    assert {row["trial"] for row in finished if row["status"] == "pruned"} == stopped

    run(file, out)
    assert decided(out) == whole
    assert rows(out) == finished
    assert candidates(out) == found


@pytest.mark.ray
@pytest.mark.slow
def test_a_decision_that_cannot_be_kept_ends_the_run_with_our_own_error(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    point = {"strategy": "apo"}

    def trainable(config: dict[str, Any]) -> None:
        tune.report({ROUND: 1, ACCURACY: 0.5, SO_FAR: "{}"})

    def full(decision: Decision) -> None:
        raise StorageError("The disk is full.")

    trials = [TrialSpec(trial="t", task="k", seed=0, number=0, point=point)]
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 0.1}),
        tune_config=tune.TuneConfig(
            search_alg=Proposals(trials, {}, Decisions()),
            scheduler=GroupScheduler(ASHA().build, Decisions((), full)),
        ),
        run_config=tune.RunConfig(name="t", storage_path=str(tmp_path), verbose=0),
    )
    with pytest.raises(tune.TuneError) as failed:
        tuner.fit()
    assert str(cause_of(failed.value)) == "The disk is full."
