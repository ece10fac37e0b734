"""Many comparisons: pooling over seeds, the sign-flip test and Holm's correction, against brute
force and known tables.
"""

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.statistics import (
    difference_interval,
    holm,
    paired_test,
    pooled_test,
    sign_flip_test,
    two_sided,
    verdict,
)

SCORE = st.sampled_from([0.0, 1.0, None])
STRATA = st.lists(st.lists(st.tuples(SCORE, SCORE), max_size=30), max_size=4)
P_VALUES = st.lists(st.floats(0, 1), max_size=8)


def columns(
    pairs: list[tuple[float | None, float | None]],
) -> tuple[list[float | None], list[float | None]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


@given(STRATA)
def test_pooling_is_the_exact_test_on_the_counts_of_all_strata(
    strata: list[list[tuple[float | None, float | None]]],
) -> None:
    pooled = pooled_test([columns(pairs) for pairs in strata])
    single = [paired_test(*columns(pairs)) for pairs in strata]
    assert pooled.improved == sum(test.improved for test in single)
    assert pooled.items == sum(test.pairs for test in single)
    assert pooled.p_value == two_sided(pooled.improved, pooled.worsened)
    assert sum(pooled.net_by_stratum) == pooled.improved - pooled.worsened
    assert pooled.interval.low <= pooled.difference <= pooled.interval.high


def test_one_stratum_is_the_paired_test() -> None:
    before, after = [0.0] * 10 + [1.0] * 20, [1.0] * 9 + [0.0] + [1.0] * 20
    assert pooled_test([(before, after)]).p_value == paired_test(before, after).p_value


def test_three_weak_seeds_that_agree_are_strong_together() -> None:
    before, after = [0.0] * 4 + [1.0] * 6, [1.0] * 10
    assert paired_test(before, after).verdict == "not distinguishable"
    assert pooled_test([(before, after)] * 3).p_value == pytest.approx(2 / 2**12)


def test_nothing_to_compare_is_no_difference() -> None:
    pooled = pooled_test([])
    assert (pooled.p_value, pooled.difference, pooled.interval.low, pooled.interval.high) == (
        1.0,
        0.0,
        -1.0,
        1.0,
    )


@given(st.lists(st.integers(-9, 9), max_size=9))
def test_sign_flips_agree_with_trying_all_signs(net_wins: list[int]) -> None:
    sums = [
        abs(sum(sign * net for sign, net in zip(signs, net_wins, strict=True)))
        for signs in product((1, -1), repeat=len(net_wins))
    ]
    assert sign_flip_test(net_wins) == pytest.approx(
        sum(total >= abs(sum(net_wins)) for total in sums) / len(sums)
    )


def test_few_trials_can_show_little() -> None:
    assert sign_flip_test([50, 50, 50, 50]) == 2 / 16
    assert sign_flip_test([50] * 12) == 2 / 4096
    assert sign_flip_test([]) == 1.0


def test_holm_on_a_known_table() -> None:
    """Holm 1979's procedure on 0.01, 0.04, 0.03, 0.005: times 4, 3, 2, 1 from the smallest on, and
    never falling.
    """
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P_VALUES)
def test_holm_never_helps_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))
    assert all(
        after <= min(1.0, before * len(p_values)) + 1e-12
        for before, after in zip(p_values, adjusted, strict=True)
    )
    ranked = [after for _, after in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
def test_the_interval_of_a_difference_turns_with_its_sides(
    improved: int, worsened: int, same: int
) -> None:
    there = difference_interval(improved, worsened, improved + worsened + same)
    back = difference_interval(worsened, improved, improved + worsened + same)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert -1 <= there.low <= there.high <= 1


@pytest.mark.parametrize(("mended", "broken"), [(0.1, 0.1), (0.35, 0.02), (0.02, 0.02)])
def test_the_interval_of_a_difference_holds_the_truth_in_95_of_100_cases(
    mended: float, broken: float
) -> None:
    rng, items, held = Random(3), 60, 0
    for _ in range(1000):
        draws = [rng.random() for _ in range(items)]
        interval = difference_interval(
            sum(draw < mended for draw in draws),
            sum(mended <= draw < mended + broken for draw in draws),
            items,
        )
        held += interval.low <= mended - broken <= interval.high
    assert held >= 930


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="3 improved and 2 worsened of 4 items"):
        difference_interval(3, 2, 4)


def test_a_verdict_needs_a_small_p_value_and_a_sign() -> None:
    assert verdict(0.05, 1) == "better"
    assert verdict(0.05, -0.1) == "worse"
    assert verdict(0.051, 1) == verdict(0.0, 0) == "not distinguishable"
