"""Selection `full`: every arm on every item, in one batch.

The most expensive rule, and the one that others are compared with.
"""

from dataclasses import dataclass
from random import Random

from optimizer.protocols import Measure
from optimizer.selection.scoreboard import Scoreboard


@dataclass(frozen=True)
class Full:
    """ProTeGi's brute force (arXiv 2305.03495), on the same items for every arm.

    It has no settings and uses no random numbers.
    """

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        """Measure all arms * items pairs, and rank the arms (see protocols.SelectionRule)."""
        board = Scoreboard(arms, items, measure)
        await board.run_together(board.arms, items)
        return board.ranked(board.arms)
