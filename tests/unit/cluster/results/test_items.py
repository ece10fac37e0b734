"""Every answer of a final test stands in the results folder, with its score."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.results import items, write_results
from cluster.results.items import (
    ITEMS,
    as_text,
    from_text,
    items_table,
    packed,
    read_items,
    read_trial_items,
    write_trial_items,
)
from cluster.trial import final_test
from cluster.trial.plan import TrialPlan
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.tasks.task import Task
from optimizer.types import Answer, Example, Score, graded
from tests.contracts.trials import author, small_plan, small_task, target_of


@pytest.fixture
def task() -> Task:
    return small_task()


@pytest.fixture
def plan() -> TrialPlan:
    return small_plan()


async def test_a_trial_leaves_each_answer_of_its_test_and_of_dev(
    plan: TrialPlan, task: Task
) -> None:
    trial = Trial(plan, task, target_of(task), author())
    result = await trial.run()
    assert trial.tested is not None
    rows = items_table(plan.id, trial.tested).to_pylist()
    tests = [row for row in rows if row["split"] == "test"]
    for prompt, marks in (
        ("baseline", result.seed_prompt_test_marks),
        ("best", result.test_marks),
        ("control", result.form_control_test_marks),
    ):
        own = [row for row in tests if row["prompt"] == prompt]
        assert "".join(str(int(row["score"])) for row in own) == marks
    dev = [row["example"] for row in rows if (row["split"], row["prompt"]) == ("dev", "best")]
    assert sorted(dev) == sorted(example.id for example in task.dev)
    first = tests[0]
    assert first["output"] == "Answer: 1000"
    assert (first["answer"], first["verdict"], first["trial"]) == ("1000", "wrong", "t")
    assert json.loads(first["fields"]) == {"input": first["input"]}


def answer(text: str, score: Score, **example: object) -> Answer:
    given = {"id": "1", "input": "hello", "answers": ("a",)} | example
    return Answer(Example(**given), text, score, 7, None)  # type: ignore[arg-type]


def both(*answers: Answer) -> final_test.Tested:
    return final_test.Tested(answers, answers, (), "off")


def test_unknown_is_null_and_odd_text_is_stored() -> None:
    table = items_table(
        "t",
        both(
            answer("\ud800", graded(0.5, "x", "half")),
            answer("", Score("missing"), answers=(), fields={"a": {"b": [1, None]}}),
            answer("z", Score("wrong"), answers=("a", "b")),
        ),
    )
    first, missing, several = pq.read_table(pa.BufferReader(packed(table))).to_pylist()[:3]
    assert (first["score"], first["feedback"], first["verdict"]) == (0.5, "half", "partial")
    assert (first["prompt_tokens"], first["completion_tokens"]) == (7, None)
    assert "ud800" in first["output"]
    assert (missing["score"], missing["target"]) == (None, None)
    assert json.loads(missing["fields"]) == {"a": {"b": [1, None]}}
    assert json.loads(several["target"]) == ["a", "b"]


def test_a_report_carries_the_file_as_text() -> None:
    file = packed(items_table("t", both(answer("x", Score("wrong")))))
    assert from_text(as_text(file)) == file


def test_the_folder_has_the_items_of_the_tested_trials(
    tmp_path: Path, results: list[TrialResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "ROWS_OF_A_GROUP", 2)
    whole = replace(results[0], test_marks="000")
    cut = replace(whole, trial="cut", test_marks="")
    lost, odd = replace(whole, trial="lost"), replace(whole, trial="odd")
    many = both(*(answer("x", Score("wrong"), id=str(number)) for number in range(3)))
    write_trial_items(tmp_path, whole.trial, packed(items_table(whole.trial, many)))
    write_trial_items(tmp_path, "cut", packed(items_table("cut", many)))
    write_trial_items(tmp_path, "odd", b"no parquet")
    write_results(tmp_path, [whole, cut, lost, odd], {})
    table = read_items(tmp_path)
    assert table.schema.equals(ITEMS)
    assert table.num_rows == 6
    assert set(table["trial"].to_pylist()) == {whole.trial}
    assert pq.ParquetFile(tmp_path / "items.parquet").num_row_groups == 3
    assert read_trial_items(tmp_path, "odd") is None


def test_a_folder_of_an_older_version_has_no_items(
    tmp_path: Path, results: list[TrialResult]
) -> None:
    assert read_items(tmp_path).num_rows == 0
    write_results(tmp_path, results, {})
    assert read_items(tmp_path).num_rows == 0
