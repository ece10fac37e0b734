"""The selection rules on graded scores: planted best arms, and how much a small win counts."""

from collections.abc import Sequence
from functools import cache
from random import Random

import numpy as np
import pytest

from optimizer.candidate import Candidate
from optimizer.evaluation.selection_run import PairwiseComparison
from optimizer.prompt import Prompt
from optimizer.protocols import DecidingOnScores, Measure, SelectionRule
from optimizer.selection import (
    UCB,
    UCBE,
    Full,
    Racing,
    SuccessiveHalving,
    SuccessiveRejects,
    racing,
)
from optimizer.statistics import Scores, chance_behind, discordant, leads_on_scores, sign_test
from optimizer.types import Answer, Example, graded
from tests.contracts.graded_shapes import SHAPES, planted
from tests.contracts.score_matrices import Case, play

CASES, SHARED = 60, 0.7
RULES: dict[str, SelectionRule] = {
    "full": Full(),
    "racing": Racing(),
    "racing, a quarter": Racing(budget_share=0.25),
    "successive_halving": SuccessiveHalving(),
    "successive_rejects": SuccessiveRejects(),
    "ucb": UCB(),
    "ucb_e": UCBE(),
}


@cache
def cases(shape: str) -> list[tuple[Case, int]]:
    drawn = (planted(shape, number) for number in range(CASES))
    return [(Case(shape, scores), best) for scores, best in drawn]


async def share_found(rule: SelectionRule, shape: str) -> float:
    return sum([(await play(rule, case)).order[0] == best for case, best in cases(shape)]) / len(
        cases(shape)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
async def test_the_planted_best_is_found_as_often_as_with_scores_of_0_and_1(name: str) -> None:
    """A gap of 0.12 on average in every shape; what differs is how scores are distributed."""
    found = {shape: await share_found(RULES[name], shape) for shape in SHAPES}
    assert found["binary"] >= 0.4
    assert min(found.values()) == found["binary"], found


class Gamble:
    """Arms of which one is a little behind on most items, and far ahead on a few."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.scores = np.full((4, 100), 0.5) + rng.normal(0, 0.001, (4, 100)).round(4)
        self.best = int(rng.integers(4))
        wins = rng.random(100) < 0.25
        self.scores[self.best] += np.where(wins, 0.4, -0.05)


async def test_a_small_win_counts_less_than_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An arm with many small losses and few large wins stays in the race."""

    async def found() -> int:
        gambles = [Gamble(seed) for seed in range(30)]
        return sum(
            [
                (await play(Racing(), Case("gamble", one.scores))).order[0] == one.best
                for one in gambles
            ]
        )

    by_values = await found()

    def by_signs(scores: Scores, rival: Scores) -> float:
        wins, losses, _ = discordant(rival, scores)
        return sign_test(wins, losses)

    monkeypatch.setattr(racing, "chance_behind", by_signs)
    by_wins = await found()
    assert by_values >= 27
    assert by_wins < by_values, "wins and losses alone must fail this check"


@pytest.mark.parametrize("shape", SHAPES)
def test_an_equal_arm_is_dropped_at_a_look_with_a_chance_of_at_most_alpha(shape: str) -> None:
    rng, dropped = np.random.default_rng(5), 0
    for _ in range(400):
        first, second = SHAPES[shape].paired(rng, 2, 30, SHARED).tolist()
        dropped += chance_behind(first, second) <= 0.1
    assert dropped <= 400 * 0.1 + 15


@pytest.mark.parametrize("seed", range(20))
def test_wins_and_losses_decide_on_scores_of_0_and_1(seed: int) -> None:
    """As ever, to the last digit; and the permutation test is the same test there."""
    rng = Random(seed)
    first, second = ([float(rng.random() < 0.5) for _ in range(40)] for _ in range(2))
    wins, losses, items = discordant(second, first)
    assert chance_behind(first, second) == sign_test(wins, losses)
    assert leads_on_scores(first, second) == (items >= 10 and sign_test(losses, wins) <= 0.1)
    # A score of 0.5 on both sides changes nothing but the method.
    assert chance_behind([*first, 0.5], [*second, 0.5]) == pytest.approx(
        sign_test(wins, losses), rel=0.2
    )


class Recorded:
    """An evaluation whose answers have given scores, by prompt and item."""

    def __init__(self, scores: dict[str, Sequence[float]]) -> None:
        self._scores = scores

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: str = "learn"
    ) -> list[Answer]:
        return [
            Answer(example, "", graded(self._scores[prompt.instruction][int(example.id)]))
            for prompt, example in work
        ]

    def read(self, work: object, outcomes: object) -> list[Answer]:
        return []

    def fitting(self, work: Sequence[object]) -> int:
        return len(work)

    def known(self, work: Sequence[object]) -> list[bool]:
        return [False] * len(work)


class OnlyWins:
    """A rule of older days: it decides on wins and losses alone."""

    def ahead(self, wins: int, losses: int, items: int) -> bool:
        return wins > losses

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        return list(range(arms))


@pytest.mark.parametrize("rule", [Racing(), Full(), OnlyWins()])
async def test_in_a_cut_selection_graded_scores_decide_by_their_values(
    rule: SelectionRule,
) -> None:
    """`luck` wins 9 items of 12 by 0.01 and loses 3 by 0.5; `good` is the other way round."""
    scores = {
        "seed": [0.5] * 20,
        "luck": [0.51 if item % 4 else 0.0 for item in range(20)],
        "good": [0.49 if item % 4 else 1.0 for item in range(20)],
        "sure": [0.7 + item / 100 for item in range(20)],
    }
    arms = [Candidate(Prompt(name), "vary", 0) for name in scores]
    dev = [Example(str(item), f"item {item}", ("7",)) for item in range(20)]
    selection = PairwiseComparison(Recorded(scores), arms, dev, rule)
    await selection([(arm, item) for item in range(12) for arm in range(len(arms))])
    order = [arms[arm].prompt.instruction for arm in selection.settled([1, 2, 3, 0])]
    assert order[0] == "sure"
    assert order.index("seed") < order.index("luck"), "nine small wins do not outweigh three losses"
    assert order.index("seed") < order.index("good"), "three large wins may be chance"


def test_racing_decides_on_scores_after_a_block() -> None:
    rule = Racing(block_items=5)
    assert isinstance(rule, DecidingOnScores)
    assert rule.ahead_on_scores([0.9, 0.8, 0.9, 0.7, 0.9], [0.5] * 5)
    assert not rule.ahead_on_scores([0.9, 0.8, 0.9, 0.7], [0.5] * 4)
    assert not rule.ahead_on_scores([0.9, 0.1, 0.9, 0.1, 0.51], [0.5] * 5)
