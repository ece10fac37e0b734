"""The selection rules against their sources: the papers' formulas, and the defects of the original
implementations.
"""

from math import ceil, log, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.selection import UCB, UCBE, SuccessiveHalving, SuccessiveRejects
from optimizer.selection.allocation import worthwhile_items
from optimizer.selection.successive_rejects import phases
from tests.contracts.selection_contract import Bench, coin

FIELDS = {"arms": st.integers(2, 40), "keep": st.integers(1, 8)}


def items_by_arm(bench: Bench, arms: int) -> list[int]:
    return [sum(own == arm for own, _ in bench.asked) for arm in range(arms)]


def test_the_phases_of_successive_rejects_are_the_papers() -> None:
    """Audibert et al.

    2010: n_k = ceil((n - K) / (logbar(K) (K + 1 - k))), with logbar(K) = 1/2 + 1/2 + 1/3 + ... +
    1/K.
    """
    logbar = 1 / 2 + sum(1 / i for i in range(2, 11))
    first, *numbers = phases(10, 1, 600)
    assert numbers == [ceil(590 / logbar / (11 - k)) for k in range(1, 10)]
    assert first == numbers[0]


@given(**FIELDS, pairs=st.integers(100, 5000))
def test_the_phases_of_successive_rejects_use_the_budget_and_no_more(
    arms: int, keep: int, pairs: int
) -> None:
    keep = min(keep, arms - 1)
    _, *numbers = phases(arms, keep, pairs)
    spent = sum(numbers) + keep * numbers[-1]
    assert pairs - arms <= spent <= pairs


async def test_successive_rejects_lets_one_arm_go_at_a_time() -> None:
    bench = Bench(lambda arm, item: float(item % 6 >= arm))
    order = await SuccessiveRejects(block_items=1, budget_share=0.5).select(
        6, 120, 1, bench.measure, Random(0)
    )
    assert order == [0, 1, 2, 3, 4, 5]
    lengths = items_by_arm(bench, 6)
    assert lengths[:2] == [lengths[0]] * 2
    assert lengths[1:] == sorted(set(lengths), reverse=True)


async def test_successive_halving_halves_and_spends_equal_parts() -> None:
    """ProTeGi's rule of this name drops what lies below the mean: here 15 of 16 arms at once, since
    one is far better.
    """
    bench = Bench(lambda arm, item: float(arm == 9 or (item < arm)))
    order = await SuccessiveHalving(budget_share=0.25).select(16, 256, 1, bench.measure, Random(0))
    assert order[0] == 9
    assert (
        sorted(items_by_arm(bench, 16))
        == [16] * 8 + [16 + 32] * 4 + [16 + 32 + 64] * 2 + [16 + 32 + 64 + 128] * 2
    )
    assert bench.batches == 4


async def test_a_larger_eta_takes_fewer_rounds() -> None:
    for eta, rounds in ((2, 5), (4, 3), (32, 1)):
        bench = Bench(coin([0.5] * 32, 0))
        await SuccessiveHalving(eta=eta, budget_share=0.1).select(
            32, 200, 1, bench.measure, Random(0)
        )
        assert bench.batches == rounds


@pytest.mark.parametrize("rule", [UCB(block_items=5), UCBE(block_items=5)])
async def test_every_arm_is_seen_before_any_bound_is_formed(rule: UCB | UCBE) -> None:
    """In ProTeGi unseen arms count as 0, and are not seen while another has had a single right
    answer.
    """
    bench = Bench(lambda arm, item: float(arm == 7 or item == 0))
    order = await rule.select(20, 60, 1, bench.measure, Random(0))
    assert sorted(bench.asked[:100]) == [(arm, item) for arm in range(20) for item in range(5)]
    assert order[0] == 7


@pytest.mark.parametrize("kind", [UCB, UCBE])
async def test_exploration_is_what_it_says(kind: type[UCB | UCBE]) -> None:
    """Without it the best arm so far takes all; with a great deal of it all arms run alike."""
    lengths = {}
    for exploration in (0.0, 1e4):
        bench = Bench(lambda arm, item: float((item + arm) % 4 < 2 + (arm == 1)))
        rule = kind(exploration=exploration, batch_arms=1, block_items=4, budget_share=0.5)
        await rule.select(4, 100, 1, bench.measure, Random(0))
        lengths[exploration] = items_by_arm(bench, 4)
    assert lengths[0.0] == [4 + 88, 100, 4, 4]
    assert max(lengths[1e4]) - min(lengths[1e4]) <= 4


def test_the_bounds_are_the_papers() -> None:
    assert UCB(exploration=2)._bound(0.5, 10, 100) == 0.5 + 2 * sqrt(log(100) / 10)
    assert UCBE(exploration=3)._bound(0.5, 10, 100) == 0.5 + sqrt(3 / 10)


@given(
    gaps=st.lists(st.floats(0.02, 1), min_size=1, max_size=30),
    done=st.integers(1, 40),
    share=st.floats(0.05, 0.95),
)
def test_an_allocation_spends_the_pairs_and_gives_close_arms_more(
    gaps: list[float], done: int, share: float
) -> None:
    items = 100
    pairs = int(share * len(gaps) * (items - done))
    worth = worthwhile_items(gaps, done, items, pairs)
    assert sum(max(0.0, upto - done) for upto in worth) == pytest.approx(
        pairs, abs=0.01 * len(gaps)
    )
    assert [upto for _, upto in sorted(zip(gaps, worth, strict=True))] == sorted(
        worth, reverse=True
    )


@given(gaps=st.lists(st.floats(0.02, 1), min_size=1, max_size=30), done=st.integers(1, 100))
def test_a_budget_for_everything_measures_everything(gaps: list[float], done: int) -> None:
    assert worthwhile_items(gaps, done, 100, len(gaps) * (100 - done)) == [100] * len(gaps)
