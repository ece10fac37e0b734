"""One holder's view of a budget that is in this process: optimizer.budget.paying.Paying, as
serving.budget.TrialBudgetClient has it over Ray.
"""

from collections.abc import Mapping, Sequence

from optimizer.budget.cost import Cost
from optimizer.budget.shared_budget import SharedBudget
from serving.budget import BudgetStore


class Share:
    """Of a plain budget."""

    def __init__(self, shared_budget: SharedBudget, holder: str = "") -> None:
        self._shared_budget, self._holder = shared_budget, holder
        self._sent: dict[bytes, Cost] = {}

    @property
    def bounded(self) -> bool:
        return self._shared_budget.bounded

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        return await self._shared_budget.reserve(costs, self._holder, test=test)

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        self._sent |= most_by_key

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        for key, cost in cost_by_key.items():
            self._shared_budget.settle(self._sent.pop(key), cost, self._holder)

    def release(self, most: Cost, *, test: bool = False) -> None:
        self._shared_budget.settle(most, Cost(), self._holder)


class RecordedShare:
    """Of a budget with a record."""

    bounded = True

    def __init__(self, shared_budget: BudgetStore, trial: str) -> None:
        self._shared_budget, self._trial = shared_budget, trial

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        return await self._shared_budget.reserve(self._trial, costs, test)

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        await self._shared_budget.send(self._trial, most_by_key, test)

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        self._shared_budget.settle(self._trial, cost_by_key, answered)

    def release(self, most: Cost, *, test: bool = False) -> None:
        self._shared_budget.release(self._trial, most, test)
