"""Intervals and tests against published values, against scipy, and under random scores."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from optimizer.statistics import (
    discordant,
    estimate,
    mean_score,
    paired_test,
    sign_test,
    wilson,
)

SCORES = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, None]), st.sampled_from([0.0, 1.0, None])), max_size=60
)


@given(st.integers(1, 300), st.data())
def test_wilson_agrees_with_scipy(items: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, items))
    theirs = binomtest(successes, items).proportion_ci(0.95, method="wilson")
    ours = wilson(successes, items)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert 0 <= ours.low <= successes / items <= ours.high <= 1


def test_wilson_knows_nothing_without_items() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_wilson_refuses_more_successes_than_items() -> None:
    with pytest.raises(ValueError, match="3 successes of 2 items"):
        wilson(3, 2)


@given(st.integers(0, 80), st.integers(0, 80))
def test_sign_test_agrees_with_scipy(fewer: int, more: int) -> None:
    theirs = binomtest(more, fewer + more, alternative="greater").pvalue if fewer + more else 1.0
    assert sign_test(fewer, more) == pytest.approx(theirs)


def test_paired_test_on_a_known_table() -> None:
    """10 items became right and 2 became wrong: exact McNemar p = 2 * 79 / 4096."""
    test = paired_test([0.0] * 10 + [1.0] * 2 + [1.0] * 30, [1.0] * 10 + [0.0] * 2 + [1.0] * 30)
    assert (test.improved, test.worsened, test.pairs) == (10, 2, 42)
    assert test.p_value == pytest.approx(2 * 79 / 4096)
    assert test.verdict == "better"


def test_five_to_nothing_is_not_enough_and_six_is() -> None:
    assert paired_test([0.0] * 5, [1.0] * 5).verdict == "not distinguishable"
    assert paired_test([0.0] * 6, [1.0] * 6).verdict == "better"
    assert paired_test([1.0] * 6, [0.0] * 6).verdict == "worse"


@given(SCORES)
def test_paired_test_is_symmetric_and_skips_missing(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    before, after = [first for first, _ in pairs], [second for _, second in pairs]
    there, back = paired_test(before, after), paired_test(after, before)
    assert there.p_value == back.p_value
    assert (there.verdict == "better") == (back.verdict == "worse")
    known = [pair for pair in pairs if None not in pair]
    assert there == paired_test([first for first, _ in known], [second for _, second in known])
    assert 0 < there.p_value <= 1


def test_the_test_rarely_sees_a_difference_where_there_is_none() -> None:
    rng, seen = Random(0), 0
    for _ in range(400):
        before, after = (
            [float(rng.random() < 0.6) for _ in range(60)],
            [float(rng.random() < 0.6) for _ in range(60)],
        )
        seen += paired_test(before, after).verdict != "not distinguishable"
    assert seen <= 400 * 0.05


def test_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        discordant([1.0], [1.0, 0.0])


def test_estimate_leaves_missing_out() -> None:
    assert mean_score([None, None]) is None
    assert (estimate([1.0, None, 0.0]).mean, estimate([1.0, None, 0.0]).items) == (0.5, 2)
    assert (estimate([]).mean, estimate([]).low, estimate([]).high) == (None, 0.0, 1.0)
