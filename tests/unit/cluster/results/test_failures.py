"""What brought nothing is told once for each reason, and of what was not measured there is no
verdict and no p-value anywhere.
"""

import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from cluster.analysis.comparisons import comparisons, comparisons_over_tasks, corrected_verdicts
from cluster.results import failure_lines, leader_lines, write_results
from cluster.results.page import report_page
from cluster.trial.result import TrialResult
from optimizer.outcome_counts import MOST_REASONS, NO_TEXT, OTHER_REASONS, Failure, summed
from tests.unit.cluster.results.conftest import trial
from tests.unit.cluster.results.test_comparisons import ITEMS, measured
from tests.unit.cluster.results.test_table import printed

LOST = "-" * ITEMS


def unmeasured(
    task: str = "navigate", before: str = LOST, after: str = LOST, **changes: object
) -> TrialResult:
    return trial(
        task,
        "apo",
        test_items=0,
        verdict="",
        p_value=None,
        seed_prompt_test_marks=before,
        test_marks=after,
        test_accuracy=None,
        test_low=None,
        test_high=None,
        seed_prompt_test_accuracy=None,
        **changes,
    )


def test_of_nothing_measured_there_is_no_verdict_and_no_p_value(tmp_path: Path) -> None:
    half = "01" * (ITEMS // 4) + "-" * (ITEMS // 2)
    for one in (
        unmeasured(),
        unmeasured(after=half),
        unmeasured(before=half),
        unmeasured(status="failed", error="It is down."),
    ):
        results = [
            one,
            replace(one, trial="navigate-apo-s1", seed=1),
            replace(one, trial="counting-apo-s0", task="counting"),
        ]
        assert comparisons(results) == comparisons_over_tasks(results) == ()
        assert corrected_verdicts(results) == {}
        assert leader_lines(results) == []
        page = re.sub(
            r"<script.*?</script>|<style.*?</style>", "", report_page(results, {}), flags=re.DOTALL
        )
        told = "\n".join(printed(results)) + page
        assert not re.search(r"p = |p &lt; |(?i:no significant difference)", told)
        write_results(tmp_path, results, {})
        rows = pq.read_table(tmp_path / "trials.parquet").to_pylist()
        assert {(row["verdict"], row["p_value"], row["corrected_verdict"]) for row in rows} == {
            (None, None, None)
        }


def test_seeds_that_were_measured_are_compared_without_the_one_that_was_not() -> None:
    whole = measured("navigate", "apo", 0, [0.0] * ITEMS, [1.0] * ITEMS)
    (comparison,) = comparisons([whole, replace(unmeasured(), trial="navigate-apo-s1", seed=1)])
    assert (comparison.pairs, comparison.difference) == (1, 1.0)


def test_each_reason_is_told_once_with_its_count_by_model_and_the_most_frequent_first() -> None:
    asked = Failure("target", "refused", "m requires moderation (request 17).", 2)
    results = [
        trial(
            failures=(
                asked,
                Failure(
                    "optimizer", "empty", "the content has no text, all of it is in reasoning", 1
                ),
                Failure("target", "empty", NO_TEXT, 9),
            )
        ),
        trial(
            seed=1,
            failures=(replace(asked, reason="m requires moderation (request 99).", calls=3),),
        ),
    ]
    assert failure_lines(results) == [
        "5 calls of builtin:target (target) were refused: m requires moderation (request 17).",
        "1 reply of builtin:optimizer (optimizer) was empty: the content has no text, all of it is "
        "in reasoning.",
    ]
    assert failure_lines(results, most=1)[1:] == [
        "1 other reason for failed calls: see the report."
    ]
    page = report_page(results, {})
    assert page.count("m requires moderation") == 1


def test_what_an_error_says_is_not_said_again_and_an_error_of_many_trials_once(
    tmp_path: Path,
) -> None:
    words = "http://x answered 400: System role not supported."
    error = f"No verdict, as nothing could be measured ({words.rstrip('.')})."
    failure = Failure("target", "infrastructure", words, 9)
    results = [
        unmeasured(status="failed", error=error, failures=(failure,)),
        trial(seed=1, status="failed", error=error),
    ]
    assert failure_lines(results) == []
    shown = " ".join("\n".join(printed(results)).split())
    assert shown.count("System role not supported") == 1
    assert "navigate-apo-s0 and 1 other:" in shown
    write_results(tmp_path, results, {})
    assert pq.read_table(tmp_path / "failures.parquet").to_pylist() == [
        {
            "trial": "navigate-apo-s0",
            "model": "target",
            "kind": "infrastructure",
            "calls": 9,
            "reason": words,
        }
    ]
    assert [row["error"] for row in pq.read_table(tmp_path / "trials.parquet").to_pylist()] == [
        error,
        error,
    ]


def test_reasons_without_end_are_bounded_and_every_call_is_counted() -> None:
    found = summed(Failure("target", "refused", "no" * (number + 1), 1) for number in range(500))
    assert len(found) == MOST_REASONS + 1
    assert found[-1].reason == OTHER_REASONS
    assert sum(failure.calls for failure in found) == 500
