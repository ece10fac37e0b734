"""How `promptray run` ends: not with exit code 0 where a trial failed, and with each reason once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import cluster.experiment.runner
from cluster.cli import experiments
from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import Experiment, prepare
from cluster.trial.plan import without_result
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate
from optimizer.errors import StorageError
from optimizer.outcome_counts import Failure
from optimizer.prompt import Prompt
from serving.storage import open_folder

WORDS = "http://x answered 400: System role not supported."
LOST = Failure("target", "infrastructure", WORDS, 44)
Ending = Callable[[Experiment, Any], tuple[TrialResult, ...]]


def ends(experiment: Experiment, **changes: Any) -> tuple[TrialResult, ...]:
    return tuple(
        TrialResult(**vars(without_result(plan, "finished")) | changes) for plan in experiment.plans
    )


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        (
            {
                "status": "failed",
                "error": f"No verdict, as nothing could be measured ({WORDS[:-1]}).",
                "failures": (LOST,),
            },
            1,
            1,
        ),
        ({"failures": (LOST,)}, 0, 1),
        ({}, 0, 0),
    ],
)
def test_what_failed_is_told_once_and_a_failed_trial_is_no_success(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    code: int,
    told: int,
) -> None:
    sizes = {"train": 2, "dev": 2, "test": 3}
    experiment = prepare(
        ExperimentSettings.model_validate(
            {
                "tasks": ["navigate"],
                "strategies": ["apo", "abo"],
                "sizes": sizes,
                "out": str(tmp_path),
            }
        )
    )
    monkeypatch.setattr(
        cluster.experiment.runner,
        "run_experiment",
        lambda experiment, watcher: ends(experiment, **changes),
    )
    found = 0
    try:
        experiments._run(experiment)
    except typer.Exit as ended:
        found = ended.exit_code
    said = " ".join(capsys.readouterr().out.split())
    assert (found, said.count("System role not supported")) == (code, told)
    assert "p = " not in said
    assert open_folder(tmp_path).exists("failures.parquet")


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("Stopped. 0 of 1 trial finished, 1 interrupted; the best prompts so far", 130),
        ("The disk is full.", StorageError),
    ],
)
def test_a_run_that_is_cut_says_where_the_best_prompts_so_far_are(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    told: str,
    code: Any,
) -> None:
    sizes = {"train": 2, "dev": 2, "test": 3}
    experiment = prepare(
        ExperimentSettings.model_validate(
            {"tasks": ["navigate"], "strategies": ["apo"], "sizes": sizes, "out": str(tmp_path)}
        )
    )
    found = ends(
        experiment,
        status="stopped" if code == 130 else "failed",
        best=Candidate(Prompt("Try."), "vary", 1),
    )

    def cut(*given: Any) -> tuple[TrialResult, ...]:
        if code == 130:
            raise cluster.experiment.runner.Interrupted(found)
        raise cluster.experiment.runner.BrokenOff(StorageError("The disk is full."), found)

    monkeypatch.setattr(cluster.experiment.runner, "run_experiment", cut)
    with pytest.raises((SystemExit, StorageError)) as ended:
        experiments._run(experiment)
    assert getattr(ended.value, "code", type(ended.value)) == code
    said = " ".join("".join(capsys.readouterr()).split()) + str(ended.value)
    assert told in said
    assert f"are in {tmp_path / 'best'}" in said
    assert open_folder(tmp_path / "best").exists("navigate-apo-s0.json")
    assert open_folder(tmp_path).exists("report.html")
