"""Verdicts may be believed: where all prompts are equal, "better" is declared in at most 5% of
1,000 simulated runs.

Beside each check stands the naive practice that fails the same check: so it can fail.
"""

from collections.abc import Sequence
from itertools import combinations
from random import Random

import pytest

from optimizer.selection import Racing
from optimizer.statistics import holm, paired_test, pooled_test, sign_flip_test

RUNS = 1000
AT_MOST = RUNS * 5 // 100
DEV, TEST = range(40), range(40, 100)
ROUNDS, PROPOSED, BEAM, SEED = 2, 10, 2, 0


class EqualPrompts:
    """Prompts by number, all equal: an item has its own difficulty, and each prompt's score on it
    is a coin of that weight.
    """

    def __init__(self, rng: Random, items: int) -> None:
        self._rng = rng
        self._weights = [rng.random() for _ in range(items)]
        self._score_by_pair: dict[tuple[int, int], float] = {}

    def score(self, prompt: int, item: int) -> float:
        """The same whenever it is asked, as at temperature 0."""
        if (prompt, item) not in self._score_by_pair:
            self._score_by_pair[prompt, item] = float(self._rng.random() < self._weights[item])
        return self._score_by_pair[prompt, item]

    def scores(self, prompt: int, items: range) -> list[float]:
        return [self.score(prompt, item) for item in items]


async def search(prompts: EqualPrompts, rng: Random) -> int:
    """The winner of a search that races new prompts against the kept ones, round after round, on
    the dev items.
    """
    kept = [SEED]
    for number in range(ROUNDS):
        arms = [*kept, *range(1 + number * PROPOSED, 1 + (number + 1) * PROPOSED)]

        async def measure(
            pairs: Sequence[tuple[int, int]], arms: Sequence[int] = arms
        ) -> list[float | None]:
            return [prompts.score(arms[arm], DEV[item]) for arm, item in pairs]

        order = await Racing().select(len(arms), len(DEV), BEAM, measure, rng)
        kept = [arms[place] for place in order[:BEAM]]
    return kept[0]


@pytest.mark.slow
async def test_of_equal_prompts_the_chosen_one_is_seldom_called_better() -> None:
    rng, false, naive = Random(0), 0, 0
    for _ in range(RUNS):
        prompts = EqualPrompts(rng, len(DEV) + len(TEST))
        winner = await search(prompts, rng)
        false += (
            paired_test(prompts.scores(SEED, TEST), prompts.scores(winner, TEST)).verdict
            == "better"
        )
        naive += (
            paired_test(prompts.scores(SEED, DEV), prompts.scores(winner, DEV)).verdict == "better"
        )
    assert false <= AT_MOST
    assert naive > 2 * AT_MOST, "a verdict on the split that chose the prompt must fail this check"


@pytest.mark.slow
def test_of_equal_strategies_no_pair_is_told_apart_in_most_reports() -> None:
    """Five strategies and the baseline on two tasks with two seeds: 30 comparisons a report."""
    rng, false, naive = Random(1), 0, 0
    for _ in range(RUNS):
        p_values = []
        for _ in range(2):
            worlds = (EqualPrompts(rng, 30), EqualPrompts(rng, 30))
            by_seed = [
                [prompts.scores(strategy, range(30)) for strategy in range(6)] for prompts in worlds
            ]
            p_values += [
                pooled_test([(scores[first], scores[second]) for scores in by_seed]).p_value
                for first, second in combinations(range(6), 2)
            ]
        false += min(holm(p_values)) <= 0.05
        naive += min(p_values) <= 0.05
    assert false <= AT_MOST
    assert naive > 2 * AT_MOST, "verdicts without correction must fail this check"


def test_lucky_searches_do_not_make_a_strategy_better() -> None:
    """Two strategies that are equally good on average, but whose trials differ: the trials must be
    counted then, not the items.
    """
    rng, by_trial, by_item = Random(2), 0, 0

    def lucky() -> list[float]:
        level = rng.gauss(0.6, 0.15)
        return [float(rng.random() < level) for _ in range(40)]

    for _ in range(RUNS):
        pooled = pooled_test([(lucky(), lucky()) for _ in range(8)])
        by_trial += sign_flip_test(pooled.net_by_stratum) <= 0.05
        by_item += pooled.p_value <= 0.05
    assert by_trial <= RUNS * 6 // 100  # 5%, and what chance adds to it in 1,000 runs
    assert by_item > 2 * AT_MOST


def test_a_real_difference_is_found() -> None:
    """The verdicts are not bought by saying nothing: a gain of 0.2 on 100 items is found in most
    runs.
    """
    rng, found = Random(3), 0
    for _ in range(200):
        before = [float(rng.random() < 0.5) for _ in range(100)]
        after = [1.0 if score or rng.random() < 0.4 else 0.0 for score in before]
        found += paired_test(before, after).verdict == "better"
    assert found >= 190
