"""What stands in a results folder: the names and columns are an interface."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.results import clear_trials, read_trials, write_results, write_trial
from cluster.trial.result import TrialResult
from optimizer.errors import DataError, StorageError
from optimizer.prompt import Prompt
from serving.storage import open_folder


def test_the_columns_are_the_documented_ones(tmp_path: Path, results: list[TrialResult]) -> None:
    write_results(tmp_path, results, {})
    assert pq.read_table(tmp_path / "trials.parquet").column_names == [
        "task",
        "strategy",
        "selection",
        "seed",
        "target",
        "optimizer",
        "status",
        "seed_prompt_test_accuracy",
        "test_accuracy",
        "test_low",
        "test_high",
        "verdict",
        "dev_accuracy",
        "adherence",
        "target_calls",
        "optimizer_calls",
        "settings",
        "verdicts_by_purpose",
        "replies_by_attempt",
        "p_value",
        "corrected_verdict",
        "train_accuracy",
        "gap",
        "seed_prompt_test_marks",
        "test_marks",
        "trial",
        "error",
        "best_is_baseline",
        "form_control",
        "form_control_test_accuracy",
        "form_control_test_marks",
        "form_control_verdict",
        "form_control_p_value",
        "corrected_form_control_verdict",
        "test_interval_kind",
        "seed_prompt_test_values",
        "test_values",
        "form_control_test_values",
        "seed_prompt_test_macro_f1",
        "test_macro_f1",
        "grader_calls",
    ]
    assert pq.read_table(tmp_path / "costs.parquet").column_names == [
        "trial",
        "wall_s",
        "ledger_hits",
        "money",
        "prefix_hit_rate",
        "repeats",
    ]
    assert pq.read_table(tmp_path / "failures.parquet").column_names == [
        "trial",
        "model",
        "kind",
        "calls",
        "reason",
    ]
    assert pq.read_table(tmp_path / "candidates.parquet").column_names == [
        "trial",
        "round",
        "candidate",
        "parent",
        "operator",
        "prompt",
        "dev_accuracy",
        "items",
        "kept",
        "incomplete",
    ]


def test_a_row_a_trial_and_nothing_invented_for_a_failed_one(
    tmp_path: Path, results: list[TrialResult]
) -> None:
    write_results(tmp_path, results, {})
    rows = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [row["seed"] for row in rows] == [result.seed for result in results]
    failed = rows[-1]
    assert (
        failed["status"],
        failed["test_accuracy"],
        failed["verdict"],
        failed["target_calls"],
    ) == ("failed", None, None, 0)


def test_a_row_a_candidate_with_its_last_standing(tmp_path: Path, result: TrialResult) -> None:
    write_results(tmp_path, [result], {})
    row_by_operator = {
        row["operator"]: row for row in pq.read_table(tmp_path / "candidates.parquet").to_pylist()
    }
    assert list(row_by_operator) == ["decompose", "seed", "refine"]
    split = row_by_operator["decompose"]
    assert (split["round"], split["dev_accuracy"], split["kept"]) == (0, 0.575, False)
    assert result.best is not None
    assert Prompt.from_json(json.loads(row_by_operator["refine"]["prompt"])) == result.best.prompt


def test_no_trials_give_empty_tables(tmp_path: Path) -> None:
    write_results(tmp_path, [], {})
    assert pq.read_table(tmp_path / "candidates.parquet").num_rows == 0


def test_the_best_prompt_can_be_loaded_and_read(tmp_path: Path, result: TrialResult) -> None:
    write_results(tmp_path, [result], {})
    data = json.loads((tmp_path / "best" / "navigate-abo-s0.json").read_text(encoding="utf-8"))
    assert result.best is not None
    assert Prompt.from_json(data["prompt"]) == result.best.prompt
    assert (data["task"], data["target"], data["scorer"], data["test_accuracy"]) == (
        "navigate",
        "builtin:target",
        "choice",
        0.94,
    )
    page = (tmp_path / "best" / "navigate-abo-s0.md").read_text(encoding="utf-8")
    assert result.best.prompt.text() in page
    assert "step 2 is skipped in 5 of 7 traces" in page


def test_a_trial_without_a_best_prompt_leaves_no_file_of_an_earlier_run(
    tmp_path: Path, result: TrialResult
) -> None:
    write_results(tmp_path, [result], {})
    write_results(tmp_path, [replace(result, best=None)], {})
    assert not list((tmp_path / "best").iterdir())


def test_trials_are_read_back(tmp_path: Path, results: list[TrialResult]) -> None:
    for result in results:
        write_trial(tmp_path, result)
    assert sorted(read_trials(tmp_path), key=lambda trial: trial.trial) == sorted(
        results, key=lambda trial: trial.trial
    )
    assert not list((tmp_path / "trials").glob(".*"))  # no temporary file is left


def test_a_broken_trial_file_is_one_sentence(tmp_path: Path) -> None:
    open_folder(tmp_path / "trials").write("x.json", b"{")
    with pytest.raises(DataError, match=r"x\.json is not JSON"):
        read_trials(tmp_path)


def test_a_lone_surrogate_does_not_break_anything(tmp_path: Path, result: TrialResult) -> None:
    odd = replace(result, task="odd \ud800", seed_prompt=Prompt("odd \ud800"))
    write_results(tmp_path, [odd], {})
    write_trial(tmp_path, odd)
    assert read_trials(tmp_path) == [odd]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, result: TrialResult) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written .*--out"):
        write_results(tmp_path / "file", [result], {})


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", ""])
def test_a_trial_name_cannot_leave_the_folder(
    tmp_path: Path, result: TrialResult, name: str
) -> None:
    with pytest.raises(StorageError, match="file name"):
        write_results(tmp_path / "out", [replace(result, trial=name)], {})
    assert not list(tmp_path.rglob("*.json"))


def test_the_same_files_on_any_file_system(any_place: str, results: list[TrialResult]) -> None:
    for result in results:
        write_trial(any_place, result)
    page = write_results(any_place, results, {})
    out = open_folder(any_place)
    assert out.names() == [
        "candidates.parquet",
        "costs.parquet",
        "failures.parquet",
        "items.parquet",
        "report.html",
        "trials.parquet",
    ]
    assert (out / "trials").names() == sorted(f"{result.trial}.json" for result in results)
    assert (out / "best").names(".md") == sorted(
        f"{result.trial}.md" for result in results if result.best
    )
    assert page == out.place_of("report.html")
    assert pq.read_table(pa.BufferReader(out.read("trials.parquet"))).num_rows == len(results)
    assert len(read_trials(any_place)) == len(results)
    clear_trials(any_place)
    assert read_trials(any_place) == []
