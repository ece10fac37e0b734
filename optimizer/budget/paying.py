"""A budget as one of its holders sees it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from optimizer.budget.cost import Cost


class Spending(Protocol):
    """A budget as one of its holders sees it, for calls that may be answered at no cost."""

    @property
    def bounded(self) -> bool: ...

    async def take(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """See SharedBudget.take."""

    def fitting(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """See SharedBudget.fitting."""

    def settle(self, most: Cost, cost: Cost) -> None:
        """See SharedBudget.settle."""


class Paying(Protocol):
    """A budget as one of its holders sees it, here or in another process, for calls that are paid.

    Three numbers are told apart: what is reserved (`take`), what was sent (`send`), and what was
    paid (`settle`). A call is known by its key.
    """

    @property
    def bounded(self) -> bool: ...

    async def take(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """Reserves, as SharedBudget.take does. What is not sent is to be given back."""

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        """To be awaited before reserved calls go out: from here on they count as sent, whatever
        happens. May raise
        BudgetExhausted, or that it cannot be put on record: then they must not go out.
        """

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        """What calls that were sent did cost.

        `answered`: their answers are on record, and need not be paid for again. A call that
        is never settled counts at the most that it can cost.
        """

    def give_back(self, most: Cost, *, test: bool = False) -> None:
        """What was reserved, and not sent."""
