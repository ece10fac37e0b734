"""What every selection rule must do.

A new rule's test is a class that inherits this one and sets `rule`, and its limits.
"""

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.errors import BudgetExhausted
from optimizer.protocols import SelectionRule
from optimizer.statistics import known_mean
from tests.contracts.examples import examples

ScoreOf = Callable[[int, int], float | None]
# Hypothesis warns of one test that runs on several classes, which is just what a contract is for.
INHERITED = settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class Bench:
    """A measure over known scores.

    It finishes the pairs in an order of its own, and counts them.
    """

    def __init__(self, score_of: ScoreOf, shuffle: int | None = None) -> None:
        self.score_of = score_of
        self._shuffle = shuffle
        self.asked: list[tuple[int, int]] = []
        self.batches = 0

    async def measure(self, pairs: Sequence[tuple[int, int]]) -> list[float | None]:
        self.batches += 1
        self.asked.extend(pairs)
        finishing = list(pairs)
        if self._shuffle is not None:
            Random(self._shuffle).shuffle(finishing)
        score_by_pair = {pair: self.score_of(*pair) for pair in finishing}
        return [score_by_pair[pair] for pair in pairs]


class LimitedBench(Bench):
    """One whose budget ends after some pairs: it says how many more it covers, or, where it is
    `sudden`, refuses without notice.
    """

    def __init__(self, score_of: ScoreOf, limit: int, sudden: bool = False) -> None:
        super().__init__(score_of)
        self.limit, self.sudden, self.cut = limit, sudden, False

    async def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[float | None]:
        came = sorted(pairs)[: self.limit - len(self.asked)]
        scores = await self.measure(came)
        if len(came) < len(pairs):
            raise BudgetExhausted("The budget is spent.")
        return [dict(zip(came, scores, strict=True))[pair] for pair in pairs]

    def fitting(self, pairs: Sequence[tuple[int, int]]) -> int:
        return len(pairs) if self.sudden else min(len(pairs), self.limit - len(self.asked))

    def score_by_pair(
        self, pairs: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], float | None]:
        return {pair: self.score_of(*pair) for pair in pairs if pair in set(self.asked)}

    def cut_short(self) -> None:
        self.cut = True


def coin(share_by_arm: Sequence[float], seed: int, missing: float = 0.0) -> ScoreOf:
    """Scores of arms that are right with the given shares; the same pair always scores the same."""

    def score(arm: int, item: int) -> float | None:
        draw = Random(f"{seed} {arm} {item}")
        return None if draw.random() < missing else float(draw.random() < share_by_arm[arm])

    return score


class SelectionContract:
    rule: SelectionRule
    budget_share: float = 1.0
    """Of all pairs, at most; but every arm is measured on one item."""

    def most_batches(self, arms: int, items: int) -> int:
        """Rules that leave a round only when it brings something take a batch for each block of
        items or for each dropped arm.
        """
        return arms + items

    @settings(INHERITED, max_examples=examples(40))
    @given(
        arms=st.integers(1, 9),
        items=st.integers(1, 45),
        keep=st.integers(1, 12),
        seed=st.integers(0, 999),
        missing=st.sampled_from([0.0, 0.3, 1.0]),
    )
    async def test_orders_all_arms_and_measures_each_pair_at_most_once(
        self, arms: int, items: int, keep: int, seed: int, missing: float
    ) -> None:
        bench = Bench(coin([Random(seed + arm).random() for arm in range(arms)], seed, missing))
        order = await self.rule.select(arms, items, keep, bench.measure, Random(seed))
        assert sorted(order) == list(range(arms))
        assert (
            len(bench.asked) == len(set(bench.asked)) <= max(arms, self.budget_share * arms * items)
        )
        assert bench.batches <= self.most_batches(arms, items)
        for arm in range(arms):
            # Common items, in their order: so that arms can be compared item by item.
            own = sorted(item for asked, item in bench.asked if asked == arm)
            assert own == list(range(len(own)))
            assert 1 <= len(own) <= items

    @settings(INHERITED, max_examples=examples(40))
    @given(
        arms=st.integers(1, 9),
        items=st.integers(1, 30),
        keep=st.integers(1, 4),
        share=st.floats(0, 1.2),
        sudden=st.booleans(),
        missing=st.sampled_from([0.0, 0.3]),
        seed=st.integers(0, 99),
    )
    async def test_survives_a_budget_that_ends_and_says_that_it_was_cut(
        self,
        arms: int,
        items: int,
        keep: int,
        share: float,
        sudden: bool,
        missing: float,
        seed: int,
    ) -> None:
        scores = coin([Random(seed + arm).random() for arm in range(arms)], seed, missing)
        whole, bench = Bench(scores), LimitedBench(scores, int(share * arms * items), sudden)
        uncut = await self.rule.select(arms, items, keep, whole.measure, Random(seed))
        order = await self.rule.select(arms, items, keep, bench, Random(seed))
        assert sorted(order) == list(range(arms))
        assert len(bench.asked) == len(set(bench.asked)) <= bench.limit
        own = {
            arm: sorted(item for asked, item in bench.asked if asked == arm) for arm in range(arms)
        }
        assert all(asked == list(range(len(asked))) for asked in own.values())
        known = [known_mean([scores(arm, item) for item in own[arm]]) is not None for arm in order]
        assert known == sorted(known, reverse=True), "arms of which nothing is known stand last"
        if bench.limit >= arms * items or (sudden and not bench.cut):
            assert (order, sorted(bench.asked), bench.cut) == (uncut, sorted(whole.asked), False)
        if bench.limit < arms:
            assert bench.cut

    @settings(INHERITED, max_examples=examples(25))
    @given(
        arms=st.integers(2, 40),
        items=st.integers(1, 60),
        keep=st.integers(1, 5),
        best=st.integers(0, 39),
        missing=st.sampled_from([0.0, 0.4]),
        seed=st.integers(0, 99),
    )
    async def test_an_arm_that_is_right_where_all_others_are_wrong_stands_first(
        self, arms: int, items: int, keep: int, best: int, missing: float, seed: int
    ) -> None:
        best %= arms
        others = coin([0.0] * arms, seed, missing)
        bench = Bench(lambda arm, item: 1.0 if arm == best else others(arm, item))
        assert (await self.rule.select(arms, items, keep, bench.measure, Random(seed)))[0] == best

    @settings(INHERITED, max_examples=examples(25))
    @given(seed=st.integers(0, 999), shuffle=st.integers(0, 999))
    async def test_the_order_in_which_calls_finish_changes_nothing(
        self, seed: int, shuffle: int
    ) -> None:
        scores = coin([0.2, 0.5, 0.55, 0.9, 0.5], seed, missing=0.1)
        calm, stormy = Bench(scores), Bench(scores, shuffle)
        first = await self.rule.select(5, 40, 2, calm.measure, Random(seed))
        assert first == await self.rule.select(5, 40, 2, stormy.measure, Random(seed))
        assert calm.asked == stormy.asked

    @pytest.mark.parametrize("best", range(6))
    async def test_finds_the_planted_best_arm(self, best: int) -> None:
        shares = [0.95 if arm == best else 0.3 for arm in range(6)]
        found = [
            (await self.rule.select(6, 60, 1, Bench(coin(shares, seed)).measure, Random(seed)))[0]
            for seed in range(10)
        ]
        assert found.count(best) >= 9

    async def test_missing_scores_are_not_zeros(self) -> None:
        """Arm 1 is always right, but one call of it in ten fails; arm 0 is right on three items of
        four.
        """
        bench = Bench(
            lambda arm, item: float(item % 4 > 0) if arm == 0 else (None if item % 10 == 9 else 1.0)
        )
        assert (await self.rule.select(2, 40, 1, bench.measure, Random(0)))[0] == 1

    async def test_an_arm_of_which_nothing_is_known_is_not_kept(self) -> None:
        bench = Bench(lambda arm, item: None if arm == 0 else 0.0)
        assert await self.rule.select(3, 20, 1, bench.measure, Random(0)) == [1, 2, 0]

    @settings(INHERITED, max_examples=examples(40))
    @given(
        arms=st.integers(2, 9),
        items=st.integers(4, 45),
        keep=st.integers(1, 4),
        unknown=st.sets(st.integers(0, 8), max_size=8),
        seed=st.integers(0, 999),
    )
    async def test_arms_too_many_of_whose_items_are_missing_stand_behind_all_others(
        self, arms: int, items: int, keep: int, unknown: set[int], seed: int
    ) -> None:
        """They are right on the items that are answered, and the others on none; yet nobody knows
        how good they are.
        """
        lucky = coin([1.0] * arms, seed, missing=0.6)
        bench = Bench(lambda arm, item: lucky(arm, item) if arm in unknown else 0.0)
        order = await self.rule.select(arms, items, keep, bench.measure, Random(seed))
        scores_by_arm = {
            arm: [bench.score_of(*pair) for pair in bench.asked if pair[0] == arm]
            for arm in range(arms)
        }
        known = [known_mean(scores_by_arm[arm]) is not None for arm in order]
        assert known == sorted(known, reverse=True)

    async def test_survives_a_world_without_answers(self) -> None:
        assert await self.rule.select(
            3, 20, 1, Bench(lambda arm, item: None).measure, Random(0)
        ) == [0, 1, 2]

    async def test_ties_go_to_the_lower_arm(self) -> None:
        assert await self.rule.select(
            4, 30, 2, Bench(lambda arm, item: float(item % 2)).measure, Random(3)
        ) == [0, 1, 2, 3]

    async def test_the_same_scores_give_the_same_order_and_the_same_calls(self) -> None:
        first, again = [Bench(coin([0.5, 0.6, 0.4, 0.6, 0.7], 8, missing=0.2)) for _ in range(2)]
        orders = [
            await self.rule.select(5, 50, 2, bench.measure, Random(1)) for bench in (first, again)
        ]
        assert orders[0] == orders[1]
        assert first.asked == again.asked

    async def test_an_arm_whose_calls_all_fail_does_not_take_the_others_items(self) -> None:
        bench = Bench(lambda arm, item: None if arm == 0 else float(item % (arm + 1) == 0))
        await self.rule.select(6, 60, 1, bench.measure, Random(0))
        items_by_arm = [sum(asked == arm for asked, _ in bench.asked) for arm in range(6)]
        assert items_by_arm[1] >= items_by_arm[0] * 0.9

    async def test_a_single_arm_is_evaluated(self) -> None:
        bench = Bench(lambda arm, item: 1.0)
        assert await self.rule.select(1, 10, 1, bench.measure, Random(0)) == [0]
        assert bench.asked

    async def test_keeping_more_than_there_are_works(self) -> None:
        assert await self.rule.select(
            2, 10, 5, Bench(lambda arm, item: float(arm)).measure, Random(0)
        ) == [1, 0]
