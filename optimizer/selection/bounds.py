"""The loop of the rules that follow upper bounds: measure next the arms that may yet be the best.

ProTeGi (arXiv 2305.03495, `evaluators.py` in microsoft/LMOps `prompt_optimization`) pulls the 8
arms of the highest bounds at a time, each on the same 32 newly drawn examples. So do we, in one
batch, but each arm goes on along the common order of items: nothing is measured twice, and arms
that have run equally far have met the same items [ours]. Not adopted: an exploration that is 0 in
its first round, and arms that count as 0 until they are seen. Here every arm runs one block before
any bound is formed. Knows no bound's formula.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from optimizer.protocols import Measure
from optimizer.selection.scoreboard import Scoreboard, check_budget_share
from optimizer.validators import at_least

Bound = Callable[[float, int, int], float]
"""(an arm's mean, the number of items it was measured on, the number of all arms together) -> upper
bound of its mean.
"""


async def follow_bounds(
    board: Scoreboard, bound: Bound, batch_arms: int, block_items: int
) -> list[int]:
    """Return the arms, best mean first, once the budget is spent or everything is measured."""
    # A bound needs at least one measurement of each arm.
    await board.run_together(board.arms, block_items)
    while board.left and (
        unfinished := [arm for arm in board.arms if board.done(arm) < board.items]
    ):
        pulls = sum(map(board.done, board.arms))
        bound_by_arm = {
            arm: bound(board.mean_or_middling(arm), board.done(arm), pulls) for arm in unfinished
        }
        highest = sorted(unfinished, key=lambda arm: (-bound_by_arm[arm], arm))[:batch_arms]
        await board.run({arm: board.done(arm) + block_items for arm in highest})
    return board.ranked(board.arms)


@dataclass(frozen=True, kw_only=True)
class BoundsRule(ABC):
    """What the rules that follow bounds have in common; each has its own formula.

    Raises:
        SettingsError: For a value out of range.
    """

    exploration: float = 1.0
    """Weight of what is not known yet (ProTeGi's, arXiv 2305.03495, `evaluators.py`)."""
    batch_arms: int = 8
    """Arms measured at a time (ProTeGi's)."""
    block_items: int = 8
    """Items by which each of them goes on [ours]. ProTeGi's 32 would be most of a dev split."""
    budget_share: float = 0.5
    """Share of all pairs that is measured [ours]. ProTeGi's budget is 2048 pairs, whatever the
    numbers of arms and items.
    """

    def __post_init__(self) -> None:
        at_least(0, exploration=self.exploration)
        at_least(1, batch_arms=self.batch_arms, block_items=self.block_items)
        check_budget_share(self.budget_share)

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        """Follow the bounds (see protocols.SelectionRule).

        It uses no random numbers; `keep` changes nothing.
        """
        board = Scoreboard(arms, items, measure, self.budget_share)
        return await follow_bounds(board, self._bound, self.batch_arms, self.block_items)

    @abstractmethod
    def _bound(self, mean: float, own: int, pulls: int) -> float:
        """Return the upper bound of an arm's mean; see Bound."""
