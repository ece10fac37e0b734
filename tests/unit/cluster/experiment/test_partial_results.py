"""What a run leaves that does not come to its end: the best prompts so far, whoever ended it,
without a Ray.
"""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.config.experiment import ExperimentSettings
from cluster.experiment import late_tests
from cluster.experiment import runner as running
from cluster.experiment.callbacks import Collector
from cluster.experiment.partial_results import leave_results
from cluster.experiment.prepare import Experiment, prepare
from cluster.results import read_trials, read_unfinished, write_results
from cluster.search.metric_names import RESULT, SO_FAR
from cluster.service.backends.archived_job import read_archived_job
from cluster.service.read_models.results import Results
from cluster.trial.plan import Progress, without_result
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.errors import StorageError
from optimizer.prompt import Prompt
from serving.storage import open_folder

APO, ABO = "navigate-apo-s0", "navigate-abo-s0"


class Silent:
    """A ProgressListener."""

    def __init__(self) -> None:
        self.results: list[TrialResult] = []

    def phase(self, text: str) -> None: ...
    def noticed(self, text: str) -> None: ...
    def started(self, trial: str) -> None: ...
    def progressed(self, trial: str, progress: Progress) -> None: ...
    def rounded(self, trial: str, so_far: str) -> None: ...
    def ended(self, result: TrialResult) -> None:
        self.results.append(result)


def experiment(out: Path, **changes: Any) -> Experiment:
    sizes = {"train": 2, "dev": 2, "test": 3}
    settings = {
        "tasks": ["navigate"],
        "strategies": ["apo", "abo"],
        "sizes": sizes,
        "out": str(out),
    }
    return prepare(ExperimentSettings.model_validate(settings | changes))


def rounds(number: int) -> tuple[Round, ...]:
    """Each with a better prompt than the one before."""
    return tuple(
        Round(at, (Standing(Candidate(Prompt(f"Try {at}."), "vary", at), at / 10, 2, None, True),))
        for at in range(number)
    )


def found(prepared: Experiment, trial: str, number: int, **changes: Any) -> TrialResult:
    """What a trial of it has after so many rounds, with 10 target calls for each."""
    plan = next(plan for plan in prepared.plans if plan.id == trial)
    done = rounds(number)
    result = replace(
        without_result(plan, "pruned"),
        rounds=done,
        best=done[-1].best.candidate,
        dev_accuracy=done[-1].best.accuracy,
        target_calls=10 * number,
        data_hash=prepared.tasks[plan.task, plan.seed].data_hash,
    )
    return replace(result, **changes)


class Run:
    """A run whose trials report what they are told to."""

    def __init__(self, prepared: Experiment) -> None:
        self.prepared = prepared
        self.watch = Silent()
        self.collected = Collector(prepared, self.watch)
        self._config = {one.trial: one.to_config() for one in prepared.trial_specs}

    def begin(self) -> "Run":
        self.collected.begin()
        return self

    def ticks(self, trial: str, **progress: Any) -> None:
        self._report(trial, asdict(Progress(**progress)))

    def rounded(self, trial: str, number: int) -> None:
        result = found(self.prepared, trial, number)
        progress = Progress(number - 1, result.dev_accuracy, result.target_calls)
        self._report(trial, asdict(progress) | {SO_FAR: json.dumps(result.to_json())})

    def ends(self, result: TrialResult) -> None:
        self._report(result.trial, {RESULT: json.dumps(result.to_json())})

    def crashes(self, trial: str) -> None:
        self.collected.on_trial_error(
            0, [], SimpleNamespace(config=self._config[trial], error_file=None)
        )

    def _report(self, trial: str, result: Mapping[str, Any]) -> None:
        self.collected.on_trial_result(0, [], SimpleNamespace(config=self._config[trial]), result)


def saved(run: Run, status: Any) -> dict[str, dict[str, Any]]:
    """The rows of trials.parquet when the run has ended so, by trial."""
    out = run.prepared.out
    write_results(out, run.collected.close(status), {})
    return {
        row["trial"]: row for row in pq.read_table(Path(out.place) / "trials.parquet").to_pylist()
    }


def best(out: Path, trial: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((out / "best" / f"{trial}.json").read_text())
    return data


@pytest.mark.parametrize("status", ["stopped", "cancelled", "failed"])
def test_the_best_so_far_of_a_trial_that_was_cut_stands_everywhere(
    tmp_path: Path, status: str
) -> None:
    run = Run(experiment(tmp_path)).begin()
    run.rounded(APO, 1)
    run.rounded(APO, 3)
    run.ticks(APO, round=2, dev_accuracy=0.2, target_calls=37, optimizer_calls=4, ledger_hits=5)
    rows = saved(run, status)
    assert {row["status"] for row in rows.values()} == {status}
    assert (rows[APO]["dev_accuracy"], rows[APO]["test_accuracy"], rows[APO]["verdict"]) == (
        0.2,
        None,
        None,
    )
    assert (rows[APO]["target_calls"], rows[APO]["optimizer_calls"]) == (37, 4), (
        "what was paid after the round counts, too"
    )
    assert best(tmp_path, APO)["prompt"]["instruction"] == "Try 2."
    assert (best(tmp_path, APO)["status"], best(tmp_path, APO)["verdict"]) == (status, "")
    assert "not tested" in (tmp_path / "best" / f"{APO}.md").read_text()
    assert pq.read_table(tmp_path / "candidates.parquet").num_rows == 3
    assert "Try 2." in (tmp_path / "report.html").read_text()
    assert {result.trial: len(result.rounds) for result in read_trials(tmp_path)} == {
        APO: 3,
        ABO: 0,
    }
    assert not (tmp_path / "best" / f"{ABO}.json").exists()
    assert not list(tmp_path.glob("unfinished/*"))


def test_a_worker_that_is_lost_for_good_leaves_its_rounds_with_the_reason(tmp_path: Path) -> None:
    run = Run(experiment(tmp_path)).begin()
    run.rounded(APO, 2)
    run.crashes(APO)
    row = saved(run, "stopped")[APO]
    assert (row["status"], row["dev_accuracy"]) == ("failed", 0.1)
    assert "process failed" in row["error"]
    assert best(tmp_path, APO)["prompt"]["instruction"] == "Try 1."


def test_a_trial_that_starts_again_and_is_cut_earlier_keeps_what_it_had(tmp_path: Path) -> None:
    run = Run(experiment(tmp_path)).begin()
    run.rounded(APO, 3)
    run.rounded(APO, 1)  # its process was lost, and another repeats its rounds
    assert saved(run, "stopped")[APO]["dev_accuracy"] == 0.2


def test_a_driver_that_is_killed_leaves_the_last_reports(tmp_path: Path) -> None:
    run = Run(experiment(tmp_path)).begin()
    run.rounded(APO, 2)
    (left,) = read_unfinished(tmp_path)
    assert (left.trial, left.status, left.dev_accuracy) == (APO, "stopped", 0.1)
    assert read_trials(tmp_path) == []


def test_a_run_that_is_cut_before_it_has_come_as_far_as_the_last_one_loses_nothing_of_it(
    tmp_path: Path,
) -> None:
    first = Run(experiment(tmp_path)).begin()
    first.ends(found(first.prepared, APO, 3, status="finished", test_accuracy=0.9))
    first.rounded(ABO, 3)
    saved(first, "stopped")
    for cut_after in (0, 1):
        again = Run(experiment(tmp_path)).begin()
        assert read_trials(tmp_path) == [], (
            "what the last run has left would be taken for this one's"
        )
        for trial in (APO, ABO) if cut_after else ():
            again.rounded(trial, cut_after)
        rows = saved(again, "stopped")
        assert {
            trial: (row["status"], row["dev_accuracy"], row["test_accuracy"])
            for trial, row in rows.items()
        } == {APO: ("finished", 0.2, 0.9), ABO: ("stopped", 0.2, None)}
        assert best(tmp_path, ABO)["prompt"]["instruction"] == "Try 2."


def test_a_trial_that_fails_before_its_first_round_keeps_what_an_earlier_run_has_found(
    tmp_path: Path,
) -> None:
    first = Run(experiment(tmp_path)).begin()
    first.rounded(APO, 3)
    saved(first, "stopped")
    again = Run(experiment(tmp_path)).begin()
    again.ends(without_result(again.prepared.plans[0], "failed", "The key was refused."))
    row = saved(again, "stopped")[APO]
    assert (row["status"], row["error"], row["dev_accuracy"]) == (
        "failed",
        "The key was refused.",
        0.2,
    )
    assert again.watch.results[-1].best is not None


def test_another_experiment_in_the_same_folder_takes_nothing_over(tmp_path: Path) -> None:
    first = Run(experiment(tmp_path)).begin()
    first.rounded(APO, 3)
    first.rounded(ABO, 2)
    saved(first, "stopped")
    other = Run(experiment(tmp_path, budget={"target_calls": 500})).begin()
    other.rounded(APO, 1)
    rows = saved(other, "stopped")
    assert (rows[APO]["dev_accuracy"], rows[ABO]["dev_accuracy"]) == (0.0, None)
    assert not (tmp_path / "best" / f"{ABO}.json").exists()


def test_a_run_that_ends_before_its_first_trial_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    first = Run(experiment(tmp_path)).begin()
    first.ends(found(first.prepared, APO, 3, status="finished", test_accuracy=0.9))
    saved(first, "stopped")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert Run(experiment(tmp_path)).collected.close("stopped") == ()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_damaged_file_of_an_earlier_run_does_not_hinder_the_next(tmp_path: Path) -> None:
    first = Run(experiment(tmp_path)).begin()
    first.rounded(APO, 2)
    saved(first, "stopped")
    open_folder(tmp_path / "trials").write(f"{APO}.json", b"{")
    again = Run(experiment(tmp_path)).begin()
    again.rounded(APO, 1)
    assert saved(again, "stopped")[APO]["dev_accuracy"] == 0.0


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_that_was_cut_is_shown_as_such(tmp_path: Path, killed: bool) -> None:
    run = Run(experiment(tmp_path)).begin()
    run.ends(found(run.prepared, APO, 2, status="finished", test_accuracy=0.9))
    run.rounded(ABO, 2)
    if not killed:
        saved(run, "stopped")
    shown = read_archived_job(open_folder(tmp_path), "me")
    assert (shown.job.status, shown.job.trials_done, shown.job.trials_told) == (
        "cancelled",
        1,
        "1 of 2 trials finished, 1 cancelled",
    )
    assert shown.job.best_dev_accuracy == 0.1
    assert shown.events[-1].kind == "job.cancelled"
    assert [event.trial for event in shown.events if event.kind == "trial.finished"] == [APO]
    history = Results().history(shown.folder, ABO)
    assert history.result is not None
    assert (history.result.status, len(history.rounds)) == ("stopped", 2)


def test_a_job_whose_process_was_ended_leaves_the_last_reports_in_best_and_tables(
    tmp_path: Path,
) -> None:
    run = Run(experiment(tmp_path)).begin()
    run.ends(found(run.prepared, APO, 2, status="finished", test_accuracy=0.9))
    run.rounded(ABO, 3)
    leave_results(open_folder(tmp_path), "cancelled", lambda settings: {})
    rows = {row["trial"]: row for row in pq.read_table(tmp_path / "trials.parquet").to_pylist()}
    assert {
        trial: (row["status"], row["dev_accuracy"], row["test_accuracy"])
        for trial, row in rows.items()
    } == {APO: ("finished", 0.1, 0.9), ABO: ("cancelled", 0.2, None)}
    assert (best(tmp_path, ABO)["prompt"]["instruction"], best(tmp_path, ABO)["status"]) == (
        "Try 2.",
        "cancelled",
    )
    again = Run(experiment(tmp_path)).begin()
    assert {trial: row["dev_accuracy"] for trial, row in saved(again, "stopped").items()} == {
        APO: 0.1,
        ABO: 0.2,
    }


def test_a_job_that_had_not_begun_leaves_nothing(tmp_path: Path) -> None:
    leave_results(open_folder(tmp_path), "cancelled", lambda settings: {})
    experiment(tmp_path)
    leave_results(open_folder(tmp_path), "cancelled", lambda settings: {})
    assert {path.name for path in tmp_path.iterdir()} == {"settings.yaml"}


def test_what_is_tested_late_is_what_was_cancelled_with_something_better_than_the_baseline(
    tmp_path: Path,
) -> None:
    prepared = experiment(tmp_path)
    better = found(prepared, APO, 2, status="cancelled")
    nothing = replace(better, best=Candidate(better.seed_prompt, "seed", 0))
    others = (
        replace(better, best=None),
        replace(better, test_marks="01"),
        replace(better, status="finished"),
    )
    assert late_tests.to_test([better, nothing, *others]) == [better]


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [
        (KeyboardInterrupt(), "stopped", None),
        (StorageError("The disk is full."), "failed", "The disk is full."),
        (
            ZeroDivisionError("by zero"),
            "failed",
            "The run broke off (ZeroDivisionError('by zero')).",
        ),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_whatever_ends_a_run_as_a_whole_is_told_with_what_was_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: BaseException,
    status: str,
    error: str | None,
    begun: bool,
) -> None:
    prepared = experiment(tmp_path)

    def run_trials(given: Experiment, collected: Collector, *rest: Any) -> None:
        run = Run(given)
        run.collected = collected
        if begun:
            run.begin().rounded(APO, 2)
        raise ending

    monkeypatch.setattr(running, "_run_trials", run_trials)
    if not begun and not isinstance(ending, KeyboardInterrupt):
        with pytest.raises(type(ending)):
            running.run_experiment(prepared, Silent(), running.RunContext(nullcontext))
        return
    with pytest.raises((running.Interrupted, running.BrokenOff)) as ended:
        running.run_experiment(prepared, Silent(), running.RunContext(nullcontext))
    assert {(one.status, one.error or None) for one in ended.value.results} == {(status, error)}
    assert {one.trial: one.dev_accuracy for one in ended.value.results} == {
        APO: 0.1 if begun else None,
        ABO: None,
    }
    if isinstance(ended.value, running.BrokenOff):
        assert ended.value.problem is ending


def test_no_folder_of_unfinished_trials_is_left_behind(tmp_path: Path) -> None:
    run = Run(experiment(tmp_path)).begin()
    run.rounded(APO, 1)
    saved(run, "stopped")
    assert not (tmp_path / "unfinished").exists()
