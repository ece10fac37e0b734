"""One holder's view of a purse that is in this process: optimizer.budget.shared_budget.Paying, as serving.budget.TrialPurse has it over Ray."""

from collections.abc import Mapping, Sequence

from optimizer.budget.shared_budget import Cost, Purse
from serving.budget import RecordedPurse


class Share:
    """Of a plain purse."""

    def __init__(self, purse: Purse, holder: str = "") -> None:
        self._purse, self._holder = purse, holder
        self._sent: dict[bytes, Cost] = {}

    @property
    def bounded(self) -> bool:
        return self._purse.bounded

    async def take(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        return await self._purse.take(costs, self._holder, test=test)

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        self._sent |= most_by_key

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        for key, cost in cost_by_key.items():
            self._purse.settle(self._sent.pop(key), cost, self._holder)

    def give_back(self, most: Cost, *, test: bool = False) -> None:
        self._purse.settle(most, Cost(), self._holder)


class RecordedShare:
    """Of a purse with a record."""

    bounded = True

    def __init__(self, purse: RecordedPurse, trial: str) -> None:
        self._purse, self._trial = purse, trial

    async def take(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        return await self._purse.take(self._trial, costs, test)

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        await self._purse.send(self._trial, most_by_key, test)

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        self._purse.settle(self._trial, cost_by_key, answered)

    def give_back(self, most: Cost, *, test: bool = False) -> None:
        self._purse.give_back(self._trial, most, test)
