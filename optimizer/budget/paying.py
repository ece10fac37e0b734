"""Protocols of a budget, as one of its holders sees it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from optimizer.budget.cost import Cost


class Spending(Protocol):
    """A budget as one of its holders sees it, for calls that may be answered at no cost."""

    @property
    def bounded(self) -> bool:
        """Return whether there is any limit."""

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """Reserve calls (see SharedBudget.reserve)."""

    def fitting(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """Return how many calls could be reserved now (see SharedBudget.fitting)."""

    def settle(self, most: Cost, cost: Cost) -> None:
        """Settle calls (see SharedBudget.settle)."""


class Paying(Protocol):
    """A budget as one of its holders sees it, for calls that are paid.

    It may be in another process. Three numbers are distinct: what is reserved (`reserve`), what was
    sent (`send`), and what was paid (`settle`). A call is known by its key.
    """

    @property
    def bounded(self) -> bool:
        """Return whether there is any limit."""

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """Reserve calls, as SharedBudget.reserve does; release what is not sent."""

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        """Record that reserved calls are sent; await it before they go out.

        From here on they count as sent, whatever happens.

        Raises:
            BudgetExhausted: If the budget does not cover them; then they must not go out.
            StorageError: If it cannot be recorded; then they must not go out.
        """

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        """Settle the cost of calls that were sent.

        A call that is never settled counts with the most that it can cost.

        Args:
            cost_by_key: The cost of each call.
            answered: Their answers are recorded, and need not be paid for again.
        """

    def release(self, most: Cost, *, test: bool = False) -> None:
        """Release what was reserved, and not sent."""
