"""Deadlines of budgets: after them nothing more is reserved, whatever is left.

Knows no trial; its clock is passed in.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from optimizer.budget.cost import Cost
from optimizer.budget.paying import Paying
from optimizer.errors import BudgetExhausted


class Timed:
    """A budget with deadlines; after them it reserves nothing more but for final tests.

    It stands between the ledger and the model, so only what must be paid for is refused: a run that
    is repeated or continued gets every answer again that it had in time, and takes the same course.
    """

    bounded = True

    def __init__(
        self,
        shared_budget: Paying,
        end_by_budget: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Add deadlines to a budget.

        `end_by_budget`: name of a budget in the settings -> when its time is over, on the clock.
        """
        self._shared_budget = shared_budget
        self._end_by_budget = end_by_budget
        self._clock = clock

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """Reserve calls (see Paying.reserve).

        Raises:
            BudgetExhausted: Also where the time is over.
        """
        if not test:
            for budget, ends_at in self._end_by_budget.items():
                if self._clock() >= ends_at:
                    raise BudgetExhausted(
                        f"The time of the {budget} is over; raise {budget}.wall_s to search on."
                    )
        return (
            await self._shared_budget.reserve(costs, test=test)
            if self._shared_budget.bounded
            else len(costs)
        )

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        """Record that reserved calls are sent (see Paying.send)."""
        if self._shared_budget.bounded:
            await self._shared_budget.send(most_by_key, test=test)

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        """Settle calls (see Paying.settle)."""
        if self._shared_budget.bounded:
            self._shared_budget.settle(cost_by_key, answered=answered)

    def release(self, most: Cost, *, test: bool = False) -> None:
        """Release a reservation (see Paying.release)."""
        if self._shared_budget.bounded:
            self._shared_budget.release(most, test=test)
