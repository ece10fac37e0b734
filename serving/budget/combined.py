"""Two budgets that pay for the same calls."""

from collections.abc import Mapping, Sequence

from optimizer.budget.cost import Cost
from optimizer.budget.paying import Paying


class CombinedBudget:
    """Two budgets that pay together, such as an experiment's and its owner's.

    What one refuses is not requested from the other.
    """

    bounded = True

    def __init__(self, first: Paying, second: Paying) -> None:
        self._first, self._second = first, second

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """Reserve calls from both (see Paying.reserve)."""
        given = await self._first.reserve(costs, test=test)
        both = 0
        try:
            both = await self._second.reserve(costs[:given], test=test)
        finally:
            # Also after an error or a cancellation, so that the first budget loses nothing.
            if both < given:
                self._first.release(Cost.of_all(costs[both:given]), test=test)
        return both

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        """Record in both that reserved calls are sent (see Paying.send)."""
        await self._first.send(most_by_key, test=test)
        await self._second.send(most_by_key, test=test)

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        """Settle calls in both (see Paying.settle)."""
        self._first.settle(cost_by_key, answered=answered)
        self._second.settle(cost_by_key, answered=answered)

    def release(self, most: Cost, *, test: bool = False) -> None:
        """Release a reservation from both (see Paying.release)."""
        self._first.release(most, test=test)
        self._second.release(most, test=test)
