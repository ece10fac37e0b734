"""Graded scores: the permutation test and the bootstrap against scipy, and what they hold."""

import time
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import permutation_test as scipy_permutation_test

from optimizer.statistics import (
    difference_interval,
    discordant,
    estimate,
    gain,
    gain_interval,
    is_binary,
    paired_test,
    permutation_test,
    pooled_test,
    sign_flip_test,
    two_sided,
    wilson,
)
from optimizer.statistics.permutation import DRAWS, permutation_test_one_sided
from tests.contracts.graded_shapes import SHAPES, better

SCORE = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, None])
PAIRS = st.lists(st.tuples(SCORE, SCORE), max_size=40)
DIFFERENCES = st.lists(st.sampled_from([-0.5, -0.2, -0.1, 0.0, 0.1, 0.2, 0.7]), max_size=12)


def columns(
    pairs: list[tuple[float | None, float | None]],
) -> tuple[list[float | None], list[float | None]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


@given(DIFFERENCES)
def test_few_differences_are_tested_exactly(found: list[float]) -> None:
    sums = [
        sum(sign * size for sign, size in zip(signs, found, strict=True))
        for signs in product((1, -1), repeat=len(found))
    ]
    seen = sum(found)
    assert permutation_test(found) == pytest.approx(
        sum(abs(total) >= abs(seen) - 1e-9 for total in sums) / len(sums)
    )
    assert permutation_test_one_sided(found) == pytest.approx(
        sum(total >= seen - 1e-9 for total in sums) / len(sums)
    )


def test_few_differences_agree_with_scipy() -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        found = rng.normal(0.1, 0.3, 10)
        theirs = scipy_permutation_test(
            (found,), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert permutation_test(found.tolist()) == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("shift", [0.0, 0.03, 0.06])
def test_many_differences_agree_with_scipy(shift: float) -> None:
    rng = np.random.default_rng(3)
    found = rng.normal(shift, 0.3, 120)
    theirs = scipy_permutation_test(
        (found,), np.sum, permutation_type="samples", n_resamples=20_000, rng=rng
    )
    assert permutation_test(found.tolist()) == pytest.approx(theirs.pvalue, rel=0.15, abs=0.002)


@given(st.integers(0, 60), st.integers(0, 60))
def test_it_is_mcnemars_test_on_scores_of_0_and_1(improved: int, worsened: int) -> None:
    exact = two_sided(improved, worsened)
    ours = permutation_test([1.0] * improved + [-1.0] * worsened)
    assert ours == pytest.approx(exact, rel=0.2, abs=3e-4)
    if improved + worsened <= 16:
        assert ours == pytest.approx(exact)


@given(PAIRS)
def test_both_sides_and_all_orders_give_the_same_p_value(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    before, after = columns(pairs)
    there, back = paired_test(before, after), paired_test(after, before)
    assert (there.p_value, there.verdict == "better") == (back.p_value, back.verdict == "worse")
    assert there.p_value == paired_test(*columns(pairs[::-1])).p_value
    assert 0 < there.p_value <= 1


def test_the_least_p_value_counts_the_draws() -> None:
    assert permutation_test([0.5] * 16) == 2 / 2**16
    assert permutation_test([0.5] * 100) == 1 / (DRAWS + 1)


def test_a_small_win_counts_less_than_a_large_loss() -> None:
    before = [0.5] * 12
    after = [0.51] * 9 + [0.0] * 3
    test = paired_test(before, after)
    assert (test.improved, test.worsened, test.kind) == (9, 3, "permutation")
    assert test.verdict == "not distinguishable"
    assert paired_test([0.5] * 12, [0.6] * 12).verdict == "better"


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, None]), st.sampled_from([0.0, 1.0, None]))))
def test_scores_of_0_and_1_keep_the_methods_for_shares(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    before, after = columns(pairs)
    improved, worsened, items = discordant(before, after)
    known = [score for score in after if score is not None]
    measured, share = estimate(after), wilson(sum(known), len(known))
    assert is_binary(before, after)
    assert (measured.low, measured.high, measured.kind) == (share.low, share.high, "Wilson")
    assert gain_interval(before, after) == difference_interval(improved, worsened, items)
    test = paired_test(before, after)
    assert (test.p_value, test.kind) == (two_sided(improved, worsened), "exact McNemar")
    pooled = pooled_test([(before, after)])
    assert (pooled.p_value, pooled.interval) == (test.p_value, gain_interval(before, after))
    assert pooled.net_by_stratum == (improved - worsened,)


def test_one_graded_score_of_either_prompt_changes_the_methods() -> None:
    binary, other = [1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.5]
    assert not is_binary(binary, other)
    assert estimate(binary).kind == "Wilson"
    assert estimate(other).kind == "bootstrap"
    assert gain_interval(binary, other).kind == gain_interval(other, binary).kind == "bootstrap"
    assert paired_test(binary, other).kind == pooled_test([(binary, other)]).kind == "permutation"


@given(PAIRS)
@example([(0.0, 0.0), (0.0, 0.0), (0.2, 0.5), (0.3, 0.0)])  # its own mirror image
def test_intervals_hold_the_mean_and_turn_with_their_sides(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    before, after = columns(pairs)
    measured, there, back = (
        estimate(after),
        gain_interval(before, after),
        gain_interval(after, before),
    )
    assert 0 <= measured.low <= (measured.mean or measured.low) <= measured.high <= 1
    assert -1 <= there.low <= there.high <= 1
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there == gain_interval(before[::-1], after[::-1])
    if found := gain(before, after):
        assert there.low <= found.value <= there.high


def test_scores_that_are_all_the_same_have_no_interval_of_no_width() -> None:
    """Twenty scores of 0.8 do not show that the next one is 0.8 too."""
    assert estimate([0.8] * 20).low < 0.75
    assert gain_interval([0.5] * 20, [0.5] * 20).high > 0.05


def test_the_same_scores_give_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(700).tolist()
    assert estimate(scores) == estimate(list(scores))
    assert permutation_test(scores) == permutation_test(scores[::-1])


def test_pooled_strata_add_up_their_differences() -> None:
    strata = [([0.5] * 6, [0.6] * 6), ([0.2] * 5, [0.1] * 5), ([0.0, 1.0], [1.0, 1.0])]
    pooled = pooled_test(strata)
    assert pooled.net_by_stratum == (0.6, -0.5, 1.0)
    assert pooled.difference == pytest.approx(1.1 / 13)
    assert pooled.p_value == permutation_test([0.1] * 6 + [-0.1] * 5 + [1.0])
    assert pooled.interval.kind == "bootstrap"
    assert sign_flip_test(pooled.net_by_stratum) == pytest.approx(4 / 8)


def test_twenty_thousand_items_take_less_than_two_seconds() -> None:
    rng = np.random.default_rng(4)
    before, after = rng.random(20_000).tolist(), rng.random(20_000).tolist()
    started = time.process_time()
    assert paired_test(before, after).p_value > 0
    assert gain_interval(before, after).high < 0.02
    assert time.process_time() - started < 4, "generous, for a busy machine"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_real_difference_is_found(shape: str) -> None:
    """Verdicts are not bought by saying nothing."""
    rng, found = np.random.default_rng(6), 0
    for _ in range(40):
        first, second = SHAPES[shape].paired(rng, 2, 100, 0.7)
        second = better(rng, second, SHAPES[shape].mean, 0.2)
        found += paired_test(first.tolist(), second.tolist()).verdict == "better"
    assert found >= 32


def test_an_early_end_keeps_p_values_valid() -> None:
    """Among equal prompts p-values at or below alpha are no more frequent than alpha."""
    rng = Random(8)
    p_values = [permutation_test([rng.gauss(0, 1) for _ in range(40)]) for _ in range(1000)]
    for alpha in (0.05, 0.2, 0.5):
        assert sum(p <= alpha for p in p_values) <= 1000 * alpha + 3 * (1000 * alpha) ** 0.5
