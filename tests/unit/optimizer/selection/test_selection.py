"""The selection rules: the contract for each, and what is particular to racing."""

from math import ceil
from random import Random

import pytest

from optimizer.errors import SettingsError
from optimizer.protocols import SelectionRule
from optimizer.selection import (
    SELECTION_RULES,
    UCB,
    UCBE,
    Full,
    Racing,
    SuccessiveHalving,
    SuccessiveRejects,
)
from tests.contracts.selection_contract import Bench, SelectionContract, coin


class TestFull(SelectionContract):
    rule = Full()

    def most_batches(self, arms: int, items: int) -> int:
        return 1

    async def test_measures_all_pairs_in_one_batch(self) -> None:
        bench = Bench(lambda arm, item: 1.0)
        await Full().select(3, 7, 1, bench.measure, Random(0))
        assert (bench.batches, len(bench.asked)) == (1, 21)


class TestRacing(SelectionContract):
    rule = Racing()

    def most_batches(self, arms: int, items: int) -> int:
        return ceil(items / 10) + 1


class TestRacingToTheEnd(SelectionContract):
    rule = Racing(block_items=7, alpha=0.2, finish=True)


class TestRacingOnABudget(SelectionContract):
    rule = Racing(budget_share=0.3)
    budget_share = 0.3

    def most_batches(self, arms: int, items: int) -> int:
        return ceil(items / 10) + 1


class TestUCB(SelectionContract):
    rule = UCB()
    budget_share = 0.5

    def most_batches(self, arms: int, items: int) -> int:
        return 1 + arms * ceil(items / 8)


class TestUCBOfEverything(SelectionContract):
    rule = UCB(budget_share=1.0, batch_arms=2, block_items=5)

    def most_batches(self, arms: int, items: int) -> int:
        return 1 + arms * ceil(items / 5)


class TestUCBE(SelectionContract):
    rule = UCBE()
    budget_share = 0.5

    def most_batches(self, arms: int, items: int) -> int:
        return 1 + arms * ceil(items / 8)


class TestSuccessiveRejects(SelectionContract):
    rule = SuccessiveRejects()
    budget_share = 0.5

    def most_batches(self, arms: int, items: int) -> int:
        return min(arms, ceil(items / 4))


class TestSuccessiveRejectsOneByOne(SelectionContract):
    rule = SuccessiveRejects(block_items=1, budget_share=1.0)

    def most_batches(self, arms: int, items: int) -> int:
        return arms


class TestSuccessiveHalving(SelectionContract):
    rule = SuccessiveHalving()
    budget_share = 0.5

    def most_batches(self, arms: int, items: int) -> int:
        return max(1, (arms - 1).bit_length())


class TestSuccessiveQuartering(SelectionContract):
    rule = SuccessiveHalving(eta=4, budget_share=0.25)
    budget_share = 0.25


class TestSuccessiveHalvingThatDropsOneByOne(SelectionContract):
    rule = SuccessiveHalving(eta=1, budget_share=1.0)


async def test_hopeless_arms_are_dropped_early() -> None:
    bench = Bench(lambda arm, item: float(arm == 2))
    order = await Racing(block_items=10, finish=False).select(8, 100, 1, bench.measure, Random(0))
    assert order[0] == 2
    assert len(bench.asked) == 8 * 10


async def test_arms_that_run_share_their_items() -> None:
    bench = Bench(coin([0.4, 0.5, 0.9, 0.9], 1))
    await Racing(block_items=8).select(4, 60, 1, bench.measure, Random(0))
    items_by_arm = [{item for own, item in bench.asked if own == arm} for arm in range(4)]
    assert all(items == set(range(len(items))) for items in items_by_arm)
    assert all(len(items) % 8 == 0 or len(items) == 60 for items in items_by_arm)


async def test_equal_arms_run_over_all_items() -> None:
    bench = Bench(lambda arm, item: float(item % 3 == 0))
    await Racing().select(3, 45, 1, bench.measure, Random(0))
    assert len(bench.asked) == 3 * 45


async def test_never_drops_below_what_is_to_be_kept() -> None:
    """Two arms are equally good and five are bad: with keep=3, one of the bad must be kept in
    reserve.
    """
    bench = Bench(lambda arm, item: float(arm in (4, 6)))
    order = await Racing().select(7, 60, 3, bench.measure, Random(0))
    assert order[:3] == [4, 6, 0]


async def test_finish_measures_the_kept_arms_on_all_items() -> None:
    bench = Bench(lambda arm, item: float(arm == 1))
    await Racing(finish=True).select(4, 50, 1, bench.measure, Random(0))
    assert [item for arm, item in bench.asked if arm == 1] == list(range(50))
    assert len(bench.asked) == 4 * 10 + 40


async def test_a_good_arm_is_seldom_dropped_by_chance() -> None:
    lost = 0
    for seed in range(100):
        order = await Racing().select(2, 60, 1, Bench(coin([0.9, 0.7], seed)).measure, Random(seed))
        lost += order[0] != 0
    assert lost <= 10


async def test_arms_are_compared_with_the_last_that_would_be_kept() -> None:
    """Arm 0 is always right, arms 1 and 2 on every other item: both are far behind arm 0, but
    neither behind the other.
    """
    bench = Bench(lambda arm, item: float(arm == 0 or (item + arm) % 2 == 0))
    await Racing().select(3, 40, 2, bench.measure, Random(0))
    assert len(bench.asked) == 3 * 40


async def test_on_a_budget_close_arms_run_further_than_distant_ones() -> None:
    bench = Bench(coin([0.9, 0.85, 0.85, 0.3, 0.3, 0.3, 0.3, 0.3], 3))
    order = await Racing(budget_share=0.4).select(8, 100, 1, bench.measure, Random(0))
    items_by_arm = [sum(own == arm for own, _ in bench.asked) for arm in range(8)]
    assert order[0] in (0, 1, 2)
    assert min(items_by_arm[:3]) >= 40
    assert max(items_by_arm[3:]) <= 20


async def test_on_a_budget_the_kept_arms_run_together_to_its_end() -> None:
    bench = Bench(lambda arm, item: float(arm < 4))
    order = await Racing(budget_share=0.25).select(16, 80, 4, bench.measure, Random(0))
    assert order[:4] == [0, 1, 2, 3]
    assert [sum(own == arm for own, _ in bench.asked) for arm in range(16)] == [50] * 4 + [10] * 12


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (Racing, {"block_items": 0}),
        (Racing, {"alpha": 0.0}),
        (Racing, {"alpha": 0.5}),
        (Racing, {"tolerance": 0.0}),
        (Racing, {"budget_share": 0.0}),
        (UCB, {"exploration": -0.1}),
        (UCB, {"batch_arms": 0}),
        (UCB, {"budget_share": 1.1}),
        (UCBE, {"block_items": 0}),
        (UCBE, {"budget_share": -1.0}),
        (SuccessiveRejects, {"block_items": 0}),
        (SuccessiveRejects, {"budget_share": 0.0}),
        (SuccessiveHalving, {"eta": 0.9}),
        (SuccessiveHalving, {"budget_share": 2.0}),
    ],
)
def test_impossible_settings_are_refused_by_name(
    make: type[SelectionRule], wrong: dict[str, float]
) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        make(**wrong)


def test_the_table_builds_each_rule_without_arguments() -> None:
    assert sorted(SELECTION_RULES) == [
        "full",
        "racing",
        "successive_halving",
        "successive_rejects",
        "ucb",
        "ucb_e",
    ]
    assert all(rule() == rule() for rule in SELECTION_RULES.values())
