"""Results with graded scores, and with classes: what is stored, and what people are shown."""

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from cluster.analysis.summary import summarise
from cluster.results import results_table, write_results
from cluster.results.markdown import best_prompt_page
from cluster.results.page import report_page
from cluster.trial import final_test
from cluster.trial.result import TrialResult
from optimizer.candidate import Standing
from optimizer.statistics import estimate, paired_test
from optimizer.types import Answer, Example, Score, graded
from tests.unit.cluster.results.conftest import ROOT, trial

BEFORE = [0.1, 0.5, 0.25, 0.4, 0.0, 0.3, 0.5, 0.2, 0.35, 0.45]
AFTER = [0.6, 0.9, 0.75, 1.0, 0.5, 0.7, None, 0.6, 0.8, 0.95]
LABELS = ["refund", "delay", "refund", "other issue"] * 5


def scored(value: float | None, place: int) -> Answer:
    score = Score("missing") if value is None else graded(value, feedback=f"wrong field {place}")
    return Answer(Example(f"test/{place}", f"item {place}", ()), "{}", score)


def with_final_test(
    found: TrialResult, before: Sequence[Answer], after: Sequence[Answer]
) -> TrialResult:
    return final_test.with_test(found, final_test.Tested(before, after, (), "off"))


@pytest.fixture
def orders() -> TrialResult:
    before, after = (
        [scored(value, place) for place, value in enumerate(values)] for values in (BEFORE, AFTER)
    )
    return with_final_test(trial("orders"), before, after)


def labelled(answers: Sequence[str]) -> list[Answer]:
    found = []
    for place, (target, answer) in enumerate(zip(LABELS, answers, strict=True)):
        verdict = "right" if answer == target else "wrong" if answer else "unparsable"
        example = Example(f"test/{place}", f"ticket {place}", (target,))
        found.append(Answer(example, answer, Score(verdict, answer)))
    return found


@pytest.fixture
def tickets() -> TrialResult:
    return with_final_test(
        trial("tickets"),
        labelled(["refund"] * 16 + [""] * 4),
        labelled([*LABELS[:18], "delay", "other issue"]),
    )


def shown(results: Sequence[TrialResult]) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(results_table(results))
    return console.export_text()


def test_scores_are_stored_beside_the_marks(orders: TrialResult) -> None:
    assert orders.test_marks == "000100-000"
    assert (list(orders.seed_prompt_test_scores), list(orders.test_scores)) == (BEFORE, AFTER)
    read = TrialResult.from_json(json.loads(json.dumps(orders.to_json())))
    assert read == orders


def test_the_figures_are_those_of_graded_scores(orders: TrialResult) -> None:
    test, measured = paired_test(BEFORE, AFTER), estimate(AFTER)
    assert (orders.p_value, orders.verdict) == (test.p_value, "better")
    assert (orders.test_low, orders.test_high) == (measured.low, measured.high)
    assert orders.interval_kind == "bootstrap"
    assert orders.test_accuracy == pytest.approx(6.8 / 9)


def test_scores_of_0_and_1_store_no_more_than_their_marks() -> None:
    """So that files are as large as ever, and older versions of them as good."""
    binary = [scored(float(place % 2), place) for place in range(10)]
    found = with_final_test(trial(), binary, binary)
    assert (found.test_values, found.seed_prompt_test_values) == ((), ())
    assert (found.interval_kind, found.samples[0].score_after) == ("Wilson", None)


def test_a_result_of_an_older_version_has_wilsons_interval(orders: TrialResult) -> None:
    data = trial().to_json()
    for name in (
        "test_interval_kind",
        "seed_prompt_test_values",
        "test_values",
        "form_control_test_values",
        "seed_prompt_test_classes",
        "test_classes",
    ):
        del data[name]
    read = TrialResult.from_json(data)
    assert (read.interval_kind, read.test_values, read.test_classes) == ("Wilson", (), None)


def test_the_interval_is_named_wherever_it_is_shown(orders: TrialResult) -> None:
    note = (
        "On orders, accuracy is the mean of graded scores, with 95% bootstrap intervals and paired "
        "permutation tests."
    )
    assert "95% bootstrap interval" in best_prompt_page(orders)
    page = report_page([orders], {})
    assert "95% bootstrap interval" in page
    assert note in page
    assert note in " ".join(shown([orders]).split())


def test_shares_keep_their_methods_and_a_table_without_a_note() -> None:
    assert "95% Wilson interval" in best_prompt_page(trial())
    assert "bootstrap" not in shown([trial()])
    page = report_page([trial(test_marks="11", seed_prompt_test_marks="01")], {})
    assert "95% Wilson intervals" in page
    assert "bootstrap" not in page


def test_samples_show_scores_and_feedback(orders: TrialResult) -> None:
    sample = orders.samples[0]
    assert (sample.score_before, sample.score_after) == (0.1, 0.6)
    assert sample.feedback_after == "wrong field 0"
    page = report_page([orders], {})
    assert "score 0.60" in page
    assert "wrong field 0" in page


def test_the_mean_of_seeds_has_a_bootstrap_interval_too(orders: TrialResult) -> None:
    other = replace(orders, trial="orders-abo-s1", seed=1, data_hash="another")
    (summary,) = summarise([replace(orders, data_hash="one"), other])
    spread = summary.groups[0].spread
    assert spread.kind == "bootstrap"
    assert spread.low < (summary.groups[0].after or 0) < spread.high
    alone = estimate(AFTER)
    assert spread.high - spread.low < alone.high - alone.low, "18 items say more than 9"


def test_a_standing_with_graded_scores_has_a_bootstrap_interval() -> None:
    standing = Standing(ROOT, 0.5, 4, None, True, scores=(0.4, None, 0.6, 0.3, 0.7))
    assert standing.interval is not None
    assert standing.interval.kind == "bootstrap"
    assert replace(standing, scores=()).interval is not None
    assert replace(standing, accuracy=None).interval is None


def test_answers_by_class_are_counted_under_both_prompts(tickets: TrialResult) -> None:
    before, after = tickets.seed_prompt_test_classes, tickets.test_classes
    assert before is not None
    assert after is not None
    assert before.classes == after.classes == ("delay", "other issue", "refund")
    assert before.counts == ((0, 0, 4, 1), (0, 0, 4, 1), (0, 0, 8, 2))
    assert after.counts == ((5, 0, 0), (0, 5, 0), (1, 0, 9))
    assert TrialResult.from_json(json.loads(json.dumps(tickets.to_json()))) == tickets


def test_answers_by_class_are_shown_and_stored(tmp_path: Path, tickets: TrialResult) -> None:
    write_results(tmp_path, [tickets], {})
    classes = pq.read_table(tmp_path / "classes.parquet").to_pylist()
    assert [(row["prompt"], row["class"], row["items"], row["right"]) for row in classes] == [
        ("baseline", "delay", 5, 0),
        ("baseline", "other issue", 5, 0),
        ("baseline", "refund", 10, 8),
        ("best", "delay", 5, 5),
        ("best", "other issue", 5, 5),
        ("best", "refund", 10, 9),
    ]
    confusion = pq.read_table(tmp_path / "confusion.parquet").to_pylist()
    unread = [row for row in confusion if row["kind"] == "unreadable"]
    assert [(row["target"], row["answer"], row["items"]) for row in unread] == [
        ("delay", None, 1),
        ("other issue", None, 1),
        ("refund", None, 2),
    ]
    (row,) = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert row["test_macro_f1"] == tickets.test_macro_f1 == pytest.approx(0.952, abs=0.001)
    page = (tmp_path / "best" / "tickets-abo-s0.md").read_text()
    assert "Macro-F1: 0.95; baseline 0.21" in page
    assert "| refund | 10 | 0.80 | 0.90 | 0.62 | 0.95 |" in page
    report = (tmp_path / "report.html").read_text()
    assert "Test answers by class" in report
    assert "(unreadable)" in report


def test_targets_that_are_no_classes_leave_no_such_files(
    tmp_path: Path, tickets: TrialResult, orders: TrialResult
) -> None:
    assert (orders.test_classes, orders.test_macro_f1) == (None, None)
    write_results(tmp_path, [tickets], {})
    write_results(tmp_path, [orders], {})
    assert not (tmp_path / "classes.parquet").exists()
    assert not (tmp_path / "confusion.parquet").exists()
    assert "Test answers by class" not in (tmp_path / "report.html").read_text()
