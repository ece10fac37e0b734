"""What is said of the models' answers: nothing while all is well, one sentence for each thing that
spoils a result.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.analysis.outcome_summary import format_counts
from cluster.results import answer_warnings, write_results
from cluster.results.page import report_page
from cluster.trial.result import TrialResult
from tests.unit.cluster.results.conftest import trial

KINDS = ("readable", "unreadable", "empty", "truncated", "refused", "failed")


def answered(
    verdicts: Mapping[str, int], task: str = "navigate", max_tokens: int = 256
) -> TrialResult:
    return trial(
        task, verdicts_by_purpose={"validate": verdicts, "test": {}}, max_tokens=max_tokens
    )


def replied(first: Mapping[str, int], again: Mapping[str, int] | None = None) -> TrialResult:
    return trial(replies_by_attempt={"first": first} | ({"again": again} if again else {}))


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        (
            {"right": 63, "truncated": 37},
            "On navigate, 37% of the target's answers were cut off at max_tokens 256: raise "
            "sampling.max_tokens (or the target's own max_tokens, where it is set).",
        ),
        ({"truncated": 5}, "On navigate, 100% of the target's answers were cut off"),
        (
            {"right": 90, "refused": 10},
            "10% of the target's answers were refusals, which count as not right",
        ),
        ({"wrong": 80, "missing": 20}, "20% of the target's answers never came"),
        ({"wrong": 70, "unparsable": 30}, "30% of the target's answers could not be parsed"),
    ],
)
def test_what_spoils_the_targets_answers_is_said_in_one_sentence(
    verdicts: Mapping[str, int], says: str
) -> None:
    (warning,) = answer_warnings([answered(verdicts)])
    assert says in warning


@pytest.mark.parametrize(
    "result",
    [
        trial(),
        answered({"right": 96, "truncated": 4}),
        answered({"right": 80, "unparsable": 20}),
        answered({"right": 1, "wrong": 999}),
        replied({"readable": 80, "unreadable": 20}, {"readable": 1, "empty": 19}),
        replied({"unreadable": 20}, {"readable": 20}),
    ],
)
def test_nothing_is_said_where_all_is_well(result: TrialResult) -> None:
    assert answer_warnings([result]) == []


def test_trials_of_one_task_are_told_together_and_tasks_and_limits_apart() -> None:
    results = [
        answered({"right": 100}),
        answered({"truncated": 100}),
        answered({"truncated": 9}, "counting"),
        answered({"truncated": 9}, "counting", 64),
    ]
    said = [warning.partition(": raise")[0] for warning in answer_warnings(results)]
    assert said == [
        f"On {where} of the target's answers were cut off at max_tokens {limit}"
        for where, limit in (
            ("navigate, 50%", 256),
            ("counting, 100%", 256),
            ("counting, 100%", 64),
        )
    ]


@pytest.mark.parametrize(
    ("first", "again", "says"),
    [
        (
            {"readable": 10, "refused": 30},
            {},
            "75% of the requests to builtin:optimizer returned nothing usable (30 refused)",
        ),
        (
            {"unreadable": 30, "empty": 10},
            {"unreadable": 20, "empty": 5, "readable": 15},
            "62% of the requests to builtin:optimizer "
            "returned nothing usable (20 unreadable, 5 empty), so fewer prompts were tried: a "
            "larger optimizer model",
        ),
        ({"truncated": 9}, {"truncated": 9}, "raise the strategy's max_tokens"),
        ({"unreadable": 4}, {}, "100% of the requests"),
    ],
)
def test_an_optimizer_model_that_brings_little_is_told_by_the_last_fate_of_each_question(
    first: Mapping[str, int], again: Mapping[str, int], says: str
) -> None:
    (warning,) = answer_warnings([replied(first, again)])
    assert says in warning


@given(
    st.dictionaries(st.sampled_from(KINDS), st.integers(0, 99)),
    st.dictionaries(st.sampled_from(KINDS), st.integers(0, 99)),
)
def test_any_counts_are_told_in_whole_sentences(
    first: dict[str, int], again: dict[str, int]
) -> None:
    for warning in answer_warnings([replied(first, again), answered(first)]):
        assert warning.endswith(".")
        assert "\n" not in warning


def test_counts_are_told_most_frequent_first() -> None:
    assert format_counts([{"wrong": 1, "right": 900}, {"right": 334}]) == "1,234 right, 1 wrong"
    assert format_counts([]) == ""


def test_counts_and_warnings_stand_in_the_page_and_the_table(tmp_path: Path) -> None:
    result = replace(
        answered({"right": 63, "truncated": 37}),
        replies_by_attempt={"first": {"readable": 5}, "again": {"empty": 1}},
    )
    page = report_page([result], {})
    assert "cut off at max_tokens 256" in page
    assert "Answers of the target: 63 right, 37 truncated." in page
    assert (
        "Replies of the optimizer model: 5 readable. Replies of the optimizer model, second request: "
        "1 empty." in page
    )
    write_results(tmp_path, [result, trial()], {})
    first, second = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert (
        first["verdicts_by_purpose"] == '{"validate": {"right": 63, "truncated": 37}, "test": {}}'
    )
    assert (second["verdicts_by_purpose"], second["replies_by_attempt"]) == (None, None)


def test_the_counts_survive_json() -> None:
    result = replied({"readable": 3}, {"empty": 1})
    assert TrialResult.from_json(result.to_json()) == result


def test_a_strategy_that_could_not_use_many_proposals_says_why() -> None:
    apo = replace(
        replied({"readable": 12, "unreadable": 6}, {"unreadable": 6}),
        strategy="apo",
        refused_proposals={"its <prompt> is longer than 6000 characters": 5, "it is empty": 1},
    )
    abo = replace(replied({"readable": 99}), strategy="abo", refused_proposals={"it is empty": 2})
    warnings = answer_warnings([apo, apo, abo])
    assert (
        "apo could not use 12 of the 36 replies it asked for: its <prompt> is longer than 6000 "
        "characters (10); it is empty (2)."
    ) in warnings
    assert not any("abo" in warning for warning in warnings)
    assert "<li>5: its &lt;prompt&gt; is longer" in report_page([apo, abo], {})
    assert TrialResult.from_json(apo.to_json()) == apo
