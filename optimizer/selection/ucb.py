"""Selection `ucb`: measure next the arms whose mean may be highest.

The bound widens with the logarithm of all pulls.
"""

from dataclasses import dataclass
from math import log, sqrt
from random import Random

from optimizer.protocols import Measure
from optimizer.selection.bounds import follow_bounds
from optimizer.selection.scoreboard import Scoreboard, check_budget_share
from optimizer.validators import at_least


@dataclass(frozen=True, kw_only=True)
class UCB:
    """Settings of UCB1 (Auer, Cesa-Bianchi & Fischer 2002), in ProTeGi's form.

    ProTeGi (arXiv 2305.03495, `evaluators.py`): mean + exploration * sqrt(ln(pulls of all arms) /
    pulls of the arm). Auer's own exploration is sqrt(2). It was made to lose little while it plays,
    not to find the best arm: it spends much on arms that it knows to be good.

    Raises:
        SettingsError: For a value out of range.
    """

    exploration: float = 1.0
    """Weight of the second term (ProTeGi's)."""
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

    def _bound(self, mean: float, own: int, pulls: int) -> float:
        return mean + self.exploration * sqrt(log(pulls) / own)
