"""What owners may still spend today, given out call by call: everything that costs comes from here,
so that no number of jobs, of probes and of questions at the models' gateway passes a quota
together.

An owner's day is a budget like that of an experiment (serving.budget.store says what is on record
when), whose holders are trials of jobs, probes and callers at the gateway. So what was sent is on
storage before it goes out, whoever dies then; and a job's final tests are kept aside from its
start. A call is a call here, of whichever model. For one event loop.

    STORAGE/usage/YYYY-MM-DD/OWNER/spent.json
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cluster.service.access.quotas import Quotas, used_up
from cluster.service.core.settings import QuotaSettings
from optimizer.budget.cost import Cost, Limits
from optimizer.errors import BudgetExhausted, DataError, QuotaExhausted, StorageError
from serving.budget import BudgetStore
from serving.storage import Folder


class OwnerBudgets:
    """`limits` gives what an owner may use; `refused` is told of each job that is refused
    something, with the reason.
    """

    def __init__(
        self,
        usage: Folder,
        quotas: Quotas,
        limits: Callable[[str], QuotaSettings],
        refused: Callable[[str, str], None] = lambda job, reason: None,
    ) -> None:
        self._usage = usage
        self._quotas = quotas
        self._limits = limits
        self._refused = refused
        self._day = ""
        self._shared_budgets: dict[str, BudgetStore] = {}
        self._opening = asyncio.Lock()
        self._kept: dict[str, dict[str, Cost]] = {}
        """Owner -> holder -> what its test may cost: it is kept on the next day too."""

    async def open(self, owner: str) -> bool:
        """Reads what the owner has used today. Has the owner a limit of calls or money?"""
        await self._shared_budget(owner)
        return _limits_of(self._limits(owner)).bounded

    async def take(self, owner: str, holder: str, costs: Sequence[Cost], test: bool) -> int:
        """See Paying.take. Raises QuotaExhausted."""
        shared_budget = await self._shared_budget(owner)
        try:
            return await shared_budget.take(holder, costs, test)
        except BudgetExhausted:
            raise self._exhausted(owner, holder) from None

    async def send(
        self, owner: str, holder: str, most_by_key: Mapping[bytes, Cost], test: bool
    ) -> None:
        """See Paying.send. Raises QuotaExhausted, StorageError."""
        shared_budget = await self._shared_budget(owner)
        try:
            await shared_budget.send(holder, most_by_key, test)
        except BudgetExhausted:
            raise self._exhausted(owner, holder) from None
        self._note(owner, shared_budget)

    async def settle(
        self, owner: str, holder: str, cost_by_key: Mapping[bytes, Cost], answered: bool
    ) -> None:
        """See Paying.settle. What was sent yesterday stays on yesterday's record as it is."""
        shared_budget = await self._shared_budget(owner)
        shared_budget.settle(holder, cost_by_key, answered)
        self._note(owner, shared_budget)

    async def give_back(self, owner: str, holder: str, most: Cost, test: bool) -> None:
        """See Paying.give_back."""
        (await self._shared_budget(owner)).give_back(holder, most, test)

    async def note(self, owner: str, cost: Cost) -> None:
        """Something was spent that nobody could refuse, such as by an owner without limits."""
        shared_budget = await self._shared_budget(owner)
        shared_budget.add(cost)
        self._note(owner, shared_budget)

    async def keep(self, owner: str, holder: str, cost: Cost) -> None:
        """See SharedBudget.keep."""
        self._kept.setdefault(owner, {})[holder] = cost.at_least(
            self._kept.get(owner, {}).get(holder, Cost())
        )
        await (await self._shared_budget(owner)).keep(holder, cost)

    async def keep_tests(self, owner: str, cost_by_holder: Mapping[str, Cost]) -> None:
        """Keeps the final tests of a job aside, as far as they are not behind it.

        Raises QuotaExhausted where what is left has no
        room for them.
        """
        shared_budget, limits = await self._shared_budget(owner), self._limits(owner)
        wanted, others = (
            Cost.of_all(cost_by_holder.values()),
            shared_budget.lacking(dict.fromkeys(cost_by_holder, Cost())),
        )
        if _limits_of(limits).passed_by(
            shared_budget.spent + shared_budget.lacking(cost_by_holder)
        ):
            left = _limits_of(limits).left_by(shared_budget.spent + others)
            room = " and ".join(
                [
                    *([f"{left.target_calls:,} calls"] if limits.calls_a_day is not None else []),
                    *([f"{left.money:g} in money"] if limits.money_a_day is not None else []),
                ]
            )
            raise QuotaExhausted(
                f"The final tests of this job may take {wanted.target_calls:,} calls and "
                f"{wanted.money:g} in money, and of your "
                f"quota of today only {room} are left beside your other jobs; make sizes.test "
                "smaller, or resume it after midnight "
                "UTC."
            )
        for holder, cost in cost_by_holder.items():
            await self.keep(owner, holder, cost)

    async def begin(self, owner: str, holder: str) -> None:
        """See BudgetStore.begin: what the holder has sent, before it died, counts at the most."""
        shared_budget = await self._shared_budget(owner)
        shared_budget.settle(holder, (await shared_budget.begin(holder)).sent, answered=False)

    async def close(self, owner: str, job: str) -> None:
        """The job is over, whatever became of it: nothing is kept for it any more, and what it had
        reserved comes back. A run that
        is lost is not the end: what its tests lack stays kept until the next one.
        """
        shared_budget = await self._shared_budget(owner)
        for holder in {*shared_budget.holders, *self._kept.get(owner, {})}:
            if holder.startswith(f"{job}/"):
                self._kept.get(owner, {}).pop(holder, None)
                with suppress(StorageError):  # it comes on record with what is given out next
                    await shared_budget.close(holder, done=True)

    async def _shared_budget(self, owner: str) -> BudgetStore:
        async with self._opening:
            if self._day != self._quotas.turn_day():
                self._day, self._shared_budgets = self._quotas.day, {}
            limits = _limits_of(self._limits(owner))
            shared_budget = self._shared_budgets.get(owner)
            if shared_budget is None:
                shared_budget = self._shared_budgets[owner] = await asyncio.to_thread(
                    self._opened, owner, limits
                )
                for holder, cost in self._kept.get(owner, {}).items():
                    await shared_budget.keep(holder, cost)
                self._note(owner, shared_budget)
            shared_budget.limit(limits)
            return shared_budget

    def _opened(self, owner: str, limits: Limits) -> BudgetStore:
        folder = self._usage / self._day / f"owner-{owner}"
        try:
            shared_budget = BudgetStore(folder, limits, {}, of="quota")
        except DataError:  # what the service's own record of the day has stays, and is written anew
            folder.write("spent.json.damaged", folder.read("spent.json"))
            folder.delete("spent.json")
            shared_budget = BudgetStore(folder, limits, {}, of="quota")
        calls, money = self._quotas.of(owner)
        shared_budget.add(
            Cost(
                target_calls=max(0, calls - shared_budget.spent.target_calls),
                money=max(0.0, money - shared_budget.spent.money),
            )
        )
        return shared_budget

    def _note(self, owner: str, shared_budget: BudgetStore) -> None:
        self._quotas.metered(owner, shared_budget.spent.target_calls, shared_budget.spent.money)

    def _exhausted(self, owner: str, holder: str) -> QuotaExhausted:
        reason = used_up(self._limits(owner))
        self._refused(holder.partition("/")[0], reason)
        return QuotaExhausted(reason)


ACTS = frozenset(
    {"open", "take", "send", "settle", "give_back", "note", "keep", "keep_tests", "begin", "close"}
)
"""What others may ask of a controller's OwnerBudgets."""


def _limits_of(quota: QuotaSettings) -> Limits:
    return Limits(target_calls=quota.calls_a_day, money=quota.money_a_day)


def as_calls(cost: Cost) -> Cost:
    """What it is to a quota: a call is a call."""
    return Cost(target_calls=cost.calls, money=cost.money)


class OwnerBudgetClient:
    """An owner's day as one who spends it sees it: Paying and Reserve, by way of the controller.

    Small and picklable.
    """

    bounded = True

    def __init__(
        self, ask: Callable[..., Any], tell: Callable[..., None], owner: str, holder: str
    ) -> None:
        """`ask` and `tell` bring an act of ACTS to the controller; `ask` returns what it says."""
        self._ask = ask
        self._tell = tell
        self._owner = owner
        self._holder = holder

    async def take(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        given: int = await self._ask(
            "take", self._owner, self._holder, list(map(as_calls, costs)), test
        )
        return given

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        await self._ask(
            "send",
            self._owner,
            self._holder,
            {key: as_calls(cost) for key, cost in most_by_key.items()},
            test,
        )

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        # Told, not awaited: it is often called while the caller is being cancelled.
        self._tell(
            "settle",
            self._owner,
            self._holder,
            {key: as_calls(cost) for key, cost in cost_by_key.items()},
            answered,
        )

    def give_back(self, most: Cost, *, test: bool = False) -> None:
        self._tell("give_back", self._owner, self._holder, as_calls(most), test)

    async def keep(self, cost: Cost) -> None:
        await self._ask("keep", self._owner, self._holder, as_calls(cost))

    async def begin(self) -> None:
        """To be called when the holder starts, and starts again."""
        await self._ask("begin", self._owner, self._holder)
