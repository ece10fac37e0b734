"""Selection `successive_rejects`: all arms run on, and after each phase the worst is rejected.

It ends when only those to keep are left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from random import Random

from optimizer.protocols import Measure
from optimizer.selection.scoreboard import Scoreboard, check_budget_share
from optimizer.validators import at_least


@dataclass(frozen=True, kw_only=True)
class SuccessiveRejects:
    """Settings of successive rejects (Audibert, Bubeck & Munos 2010).

    It is also one of ProTeGi's rules (arXiv 2305.03495). The paper looks for one arm, with K - 1
    phases. Where more are to be kept, ours ends that much earlier, as ProTeGi does, and shares the
    budget out accordingly [ours]. There is nothing to tune in the paper's rule but the budget.

    Raises:
        SettingsError: For a value out of range.
    """

    block_items: int = 4
    """Phases that would bring fewer new items than this are joined with the one before: several
    arms are then rejected at once, and calls go out in fewer batches [ours]. The number is the
    least that ProTeGi measures in a phase.
    """
    budget_share: float = 0.5
    """Maximum share of all pairs that is measured [ours]."""

    def __post_init__(self) -> None:
        at_least(1, block_items=self.block_items)
        check_budget_share(self.budget_share)

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        """Reject arms phase by phase (see protocols.SelectionRule).

        It uses no random numbers.
        """
        board = Scoreboard(arms, items, measure, self.budget_share)
        running, rejected = list(board.arms), list[int]()
        for upto, rejects in self._joined(phases(arms, min(keep, arms), board.left), items):
            await board.run_together(running, upto)
            ranked = board.ranked(running)
            left = len(ranked) - rejects
            running, rejected = sorted(ranked[:left]), ranked[left:] + rejected
        return board.known_first(board.ranked(running) + rejected)

    def _joined(self, numbers: Iterator[int], items: int) -> list[tuple[int, int]]:
        """Return (items behind the running arms at the end of a phase, arms rejected then)."""
        joined = [(min(next(numbers), items), 0)]
        for upto in numbers:
            at, rejects = joined[-1]
            if min(upto, items) - at < self.block_items:
                joined[-1] = (at, rejects + 1)
            else:
                joined.append((min(upto, items), 1))
        return joined


def phases(arms: int, keep: int, pairs: int) -> Iterator[int]:
    """Yield the items to start with, then for each rejected arm the items behind it.

    These are the paper's n_k.
    """
    if keep == arms:
        yield pairs // arms
        return
    # The sum that makes the phases use up the pairs: at keep 1 the paper's 1/2 + 1/2 + 1/3 + ... +
    # 1/K.
    total = keep / (keep + 1) + sum(1 / place for place in range(keep + 1, arms + 1))
    numbers = [max(1, ceil((pairs - arms) / total / running)) for running in range(arms, keep, -1)]
    yield numbers[0]
    yield from numbers
