"""Selection `full`: every arm on every item, in one batch.

The dearest rule, and the one that others are compared with.
"""

from dataclasses import dataclass
from random import Random

from optimizer.protocols import Measure
from optimizer.selection.scoreboard import Scoreboard


@dataclass(frozen=True)
class Full:
    """ProTeGi's brute force (arXiv 2305.03495), on the same items for every arm.

    It has no settings and uses no chance.
    """

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        """See protocols.SelectionRule. Always measures arms * items pairs."""
        board = Scoreboard(arms, items, measure)
        await board.run_together(board.arms, items)
        return board.ranked(board.arms)
