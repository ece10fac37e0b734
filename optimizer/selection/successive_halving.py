"""Selection `successive_halving`: rounds with equal parts of the budget.

The better half of the arms goes on to the next round.
"""

from dataclasses import dataclass
from math import ceil
from random import Random

from optimizer.protocols import Measure
from optimizer.selection.scoreboard import Scoreboard, check_budget_share
from optimizer.validators import at_least


@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving:
    """Settings of sequential halving.

    Karnin, Koren & Somekh 2013, "Almost optimal exploration in multi-armed bandits". Differs from
    the paper in that an arm's earlier scores count on [ours], and from ProTeGi's rule of this name
    (arXiv 2305.03495), which drops whatever is below the mean, in that it halves.

    Raises:
        SettingsError: For a value out of range.
    """

    eta: float = 2.0
    """One arm in so many goes on to the next round: the paper halves.

    Larger numbers drop faster (Jamieson & Talwalkar 2016).
    """
    budget_share: float = 0.5
    """Maximum share of all pairs that is measured [ours]."""

    def __post_init__(self) -> None:
        at_least(1, eta=self.eta)
        check_budget_share(self.budget_share)

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        """Halve the arms, one batch for each round (see protocols.SelectionRule).

        It uses no random numbers.
        """
        board = Scoreboard(arms, items, measure, self.budget_share)
        running, dropped = list(board.arms), list[int]()
        sizes = self._sizes(arms, keep)
        for number, size in enumerate(sizes):
            pairs = board.left // (len(sizes) - number)
            await board.run_together(
                running, board.done(running[0]) + max(1, pairs // len(running))
            )
            ranked = board.ranked(running)
            running, dropped = sorted(ranked[:size]), ranked[size:] + dropped
        return board.known_first(board.ranked(running) + dropped)

    def _sizes(self, arms: int, keep: int) -> list[int]:
        """Return the numbers of arms that the rounds leave."""
        sizes = [arms]
        while sizes[-1] > keep:
            # At least one arm less, whatever eta is.
            sizes.append(max(keep, min(ceil(sizes[-1] / self.eta), sizes[-1] - 1)))
        return sizes[1:] or sizes
