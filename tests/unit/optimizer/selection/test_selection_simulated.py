"""The selection rules against brute force, on made-up rounds with a known best arm."""

from dataclasses import dataclass
from random import Random

import pytest

from optimizer.protocols import Measure, SelectionRule
from optimizer.selection import UCBE, Full, Racing, SuccessiveHalving, SuccessiveRejects
from optimizer.selection.scoreboard import Scoreboard
from tests.contracts.score_matrices import FAMILIES, WITH_A_BEST_ARM, cases, play

NEAR = 0.02 + 1e-9


@dataclass(frozen=True)
class Evenly:
    """No rule at all: the budget is shared out evenly."""

    budget_share: float

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        board = Scoreboard(arms, items, measure, self.budget_share)
        await board.run_together(board.arms, items)
        return board.ranked(board.arms)


async def share_found(
    rule: SelectionRule, families: list[str], count: int, budget_share: float = 1.0
) -> float:
    """Share of the cases, `count` of each family, in which the first arm is within 0.02 of the best
    one by brute force.
    """
    found = 0
    for case in (case for family in families for case in cases(family, count)):
        played = await play(rule, case)
        assert played.pairs <= budget_share * case.scores.size
        found += case.shortfall(played.order[0]) <= NEAR
    return found / (count * len(families))


@pytest.mark.slow
async def test_racing_finds_the_best_arm_at_a_quarter_of_the_budget() -> None:
    """1,000 cases, each of which measures at most a quarter of its pairs."""
    assert await share_found(Racing(budget_share=0.25), list(WITH_A_BEST_ARM), 250, 0.25) >= 0.95


@pytest.mark.slow
async def test_racing_without_a_budget_is_right_and_cheap() -> None:
    pairs, found = 0.0, 0
    for case in (case for family in WITH_A_BEST_ARM for case in cases(family, 25)):
        played = await play(Racing(), case)
        pairs += played.pairs / case.scores.size
        found += case.shortfall(played.order[0]) <= NEAR
    assert found >= 97
    assert pairs < 40


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        Racing(budget_share=0.25),
        SuccessiveRejects(budget_share=0.25),
        SuccessiveHalving(budget_share=0.25),
        UCBE(budget_share=0.25),
    ],
)
async def test_every_best_arm_rule_beats_an_even_share(rule: SelectionRule) -> None:
    families = list(WITH_A_BEST_ARM)
    assert (
        await share_found(rule, families, 40, 0.25)
        >= await share_found(Evenly(0.25), families, 40, 0.25) + 0.05
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
async def test_brute_force_is_the_truth(family: str) -> None:
    for case in cases(family, 5, seed=1):
        order = (await play(Full(), case)).order
        assert order == sorted(range(len(order)), key=lambda arm: (-case.truth_by_arm[arm], arm))
