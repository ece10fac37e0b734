"""Selection `ucb_e`: as ucb, with more exploration, to find the best arm.

The bound depends on the arm's own pulls alone.
"""

from dataclasses import dataclass
from math import sqrt
from random import Random

from optimizer.protocols import Measure
from optimizer.selection.bounds import follow_bounds
from optimizer.selection.scoreboard import Scoreboard, check_budget_share
from optimizer.validators import at_least


@dataclass(frozen=True, kw_only=True)
class UCBE:
    """Settings of UCB-E.

    Audibert, Bubeck & Munos 2010, "Best arm identification in multi-armed bandits". The bound is
    mean + sqrt(exploration / pulls of the arm). The paper's best exploration, 25/36 * (budget -
    arms) / hardness, needs the arms' gaps, which nobody knows beforehand.

    Raises:
        SettingsError: For a value out of range.
    """

    exploration: float = 1.0
    """ProTeGi's (arXiv 2305.03495, `evaluators.py`), whose bound mean + c * sqrt(c / pulls) is the
    same at its c of 1.
    """
    batch_arms: int = 8
    """Arms measured at a time (ProTeGi's)."""
    block_items: int = 8
    """Items by which each of them goes on [ours]; ProTeGi's 32 would be most of a dev split."""
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

    def _bound(self, mean: float, own: int, _: int) -> float:
        return mean + sqrt(self.exploration / own)
