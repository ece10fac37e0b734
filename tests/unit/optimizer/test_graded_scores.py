"""Scores with partial credit, and what of an example a locked split keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.tasks.locked import LockedSplit
from optimizer.types import Answer, Example, Message, Score, graded

EXAMPLE = Example("t/1", "What is 2 + 2?", ("4",))


@given(st.floats(0, 1))
def test_credit_is_the_value_and_decides_the_verdict(credit: float) -> None:
    score = graded(credit, "an answer", "why")
    assert score.value == credit
    assert (score.verdict == "right") == (credit == 1.0)
    assert (score.verdict == "wrong") == (credit == 0.0)


@pytest.mark.parametrize("credit", [-0.1, 1.1, float("nan"), float("inf")])
def test_credit_outside_of_its_range_is_refused(credit: float) -> None:
    with pytest.raises(ValueError, match=r"between 0\.0 and 1\.0"):
        graded(credit)


@pytest.mark.parametrize(
    ("score", "is_error", "is_right"),
    [
        (Score("right"), False, True),
        (Score("wrong"), True, False),
        (Score("unparsable"), True, False),
        (Score("missing"), False, False),
        (graded(0.5), True, False),
        (graded(1.0), False, True),
    ],
)
def test_less_than_the_full_score_is_an_error_and_a_missing_answer_is_none(
    score: Score, is_error: bool, is_right: bool
) -> None:
    answer = Answer(EXAMPLE, "", score)
    assert (answer.is_error, answer.is_right) == (is_error, is_right)


def test_a_locked_split_keeps_the_whole_example() -> None:
    example = Example(
        "t/2", "And now?", ("5",), ("4", "5"), (Message("user", "Hi"),), {"id": 7, "tags": ["a"]}
    )
    assert LockedSplit.lock([example]).single_reading().read() == (example,)
