"""What owners may still spend today: every call is reserved here before it is sent.

So no number of jobs, probes and calls at the models' gateway exceeds a quota together.

An owner's day is a budget like that of an experiment (serving.budget.store says what is recorded
when), whose holders are trials of jobs, probes and principals at the gateway. What was sent is on
storage before it goes out, whoever dies then; and a job's final tests are reserved from its start.
A call counts as one, of whichever model. For one event loop.

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
    """The budgets of all owners for the current day."""

    def __init__(
        self,
        usage: Folder,
        quotas: Quotas,
        limits: Callable[[str], QuotaSettings],
        refused: Callable[[str, str], None] = lambda job, reason: None,
    ) -> None:
        """Open no budget yet.

        Args:
            usage: The folder of the days.
            quotas: What jobs have reported of the day's use.
            limits: Gives the quota of an owner.
            refused: Called with each job that is refused something, and the reason.
        """
        self._usage = usage
        self._quotas = quotas
        self._limits = limits
        self._refused = refused
        self._day = ""
        self._shared_budgets: dict[str, BudgetStore] = {}
        self._opening = asyncio.Lock()
        self._test_costs: dict[str, dict[str, Cost]] = {}
        """Owner -> holder -> what its final test may cost; it stays reserved on the next day."""

    async def open(self, owner: str) -> bool:
        """Read what the owner has used today, and return whether there is a limit."""
        await self._shared_budget(owner)
        return _limits_of(self._limits(owner)).bounded

    async def reserve(self, owner: str, holder: str, costs: Sequence[Cost], test: bool) -> int:
        """Reserve a part of the budget for some calls; see Paying.reserve.

        Raises:
            QuotaExhausted: Nothing is left.
        """
        shared_budget = await self._shared_budget(owner)
        try:
            return await shared_budget.reserve(holder, costs, test)
        except BudgetExhausted:
            raise self._exhausted(owner, holder) from None

    async def send(
        self, owner: str, holder: str, most_by_key: Mapping[bytes, Cost], test: bool
    ) -> None:
        """Record that calls are being sent; see Paying.send.

        Raises:
            QuotaExhausted: Nothing is left.
            StorageError: The storage does not answer.
        """
        shared_budget = await self._shared_budget(owner)
        try:
            await shared_budget.send(holder, most_by_key, test)
        except BudgetExhausted:
            raise self._exhausted(owner, holder) from None
        self._note(owner, shared_budget)

    async def settle(
        self, owner: str, holder: str, cost_by_key: Mapping[bytes, Cost], answered: bool
    ) -> None:
        """Record what calls have cost; see Paying.settle.

        What was sent yesterday stays on yesterday's record as it is.
        """
        shared_budget = await self._shared_budget(owner)
        shared_budget.settle(holder, cost_by_key, answered)
        self._note(owner, shared_budget)

    async def release(self, owner: str, holder: str, most: Cost, test: bool) -> None:
        """Release what was reserved and not used; see Paying.release."""
        (await self._shared_budget(owner)).release(holder, most, test)

    async def note(self, owner: str, cost: Cost) -> None:
        """Record a cost that could not be refused, such as by an owner without limits."""
        shared_budget = await self._shared_budget(owner)
        shared_budget.add(cost)
        self._note(owner, shared_budget)

    async def hold(self, owner: str, holder: str, cost: Cost) -> None:
        """Reserve what a holder's final test may cost; see SharedBudget.hold."""
        self._test_costs.setdefault(owner, {})[holder] = cost.at_least(
            self._test_costs.get(owner, {}).get(holder, Cost())
        )
        await (await self._shared_budget(owner)).hold(holder, cost)

    async def hold_tests(self, owner: str, cost_by_holder: Mapping[str, Cost]) -> None:
        """Reserve the final tests of a job that are still to come.

        Args:
            owner: The owner.
            cost_by_holder: What each trial's final test may cost.

        Raises:
            QuotaExhausted: The rest of the budget has no room for them.
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
            await self.hold(owner, holder, cost)

    async def begin(self, owner: str, holder: str) -> None:
        """Begin a holder's spending; what it had sent before it died counts at its maximum.

        See BudgetStore.begin.
        """
        shared_budget = await self._shared_budget(owner)
        # The service does not read the jobs' ledgers: what came of these calls is not known here.
        shared_budget.settle(holder, (await shared_budget.begin(holder)).sent, answered=False)

    async def close(self, owner: str, job: str) -> None:
        """Release all that is reserved for a job that is over.

        A run that is lost is not the end of its job: its tests stay reserved until the next run.
        """
        shared_budget = await self._shared_budget(owner)
        for holder in {*shared_budget.holders, *self._test_costs.get(owner, {})}:
            # Holders are called JOB/TRIAL; see JobShare.holder.
            if holder.startswith(f"{job}/"):
                self._test_costs.get(owner, {}).pop(holder, None)
                with suppress(StorageError):  # it comes on record with what is given out next
                    await shared_budget.close(holder, done=True)

    async def _shared_budget(self, owner: str) -> BudgetStore:
        async with self._opening:
            # A new day has a new record: the old one stays as it is, with what was still in flight.
            if self._day != self._quotas.turn_day():
                self._day, self._shared_budgets = self._quotas.day, {}
            limits = _limits_of(self._limits(owner))
            shared_budget = self._shared_budgets.get(owner)
            if shared_budget is None:
                shared_budget = self._shared_budgets[owner] = await asyncio.to_thread(
                    self._opened, owner, limits
                )
                # Running jobs go on past midnight: their tests come out of the new day.
                for holder, cost in self._test_costs.get(owner, {}).items():
                    await shared_budget.hold(holder, cost)
                self._note(owner, shared_budget)
            # Every time: the quota of an owner may have been changed since.
            shared_budget.limit(limits)
            return shared_budget

    def _opened(self, owner: str, limits: Limits) -> BudgetStore:
        folder = self._usage / self._day / f"owner-{owner}"
        try:
            shared_budget = BudgetStore(folder, limits, {}, of="quota")
        except DataError:  # the service's own record of the day has the use: start from that
            folder.write("spent.json.damaged", folder.read("spent.json"))
            folder.delete("spent.json")
            shared_budget = BudgetStore(folder, limits, {}, of="quota")
        # Two records of one day, written at different moments: the larger use of each counts.
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
    {"open", "reserve", "send", "settle", "release", "note", "hold", "hold_tests", "begin", "close"}
)
"""The methods of OwnerBudgets that other processes may call."""


def _limits_of(quota: QuotaSettings) -> Limits:
    return Limits(target_calls=quota.calls_a_day, money=quota.money_a_day)


def as_calls(cost: Cost) -> Cost:
    """Return a cost as a quota counts it: a call is one, of whichever model."""
    return Cost(target_calls=cost.calls, money=cost.money)


class OwnerBudgetClient:
    """An owner's budget in another process, by way of the controller; small and picklable.

    It implements Paying and Reserve.
    """

    bounded = True

    def __init__(
        self, call: Callable[..., Any], notify: Callable[..., None], owner: str, holder: str
    ) -> None:
        """Spend for one holder.

        Args:
            call: Calls a method of OwnerBudgets by its name, and returns the answer.
            notify: Calls a method without waiting for it.
            owner: The owner.
            holder: The name of who spends, among all of the owner's.
        """
        self._call = call
        self._notify = notify
        self._owner = owner
        self._holder = holder

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """See OwnerBudgets.reserve."""
        given: int = await self._call(
            "reserve", self._owner, self._holder, list(map(as_calls, costs)), test
        )
        return given

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        """See OwnerBudgets.send."""
        await self._call(
            "send",
            self._owner,
            self._holder,
            {key: as_calls(cost) for key, cost in most_by_key.items()},
            test,
        )

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        """See OwnerBudgets.settle."""
        # Not awaited: it is often called while the calling task is being cancelled.
        self._notify(
            "settle",
            self._owner,
            self._holder,
            {key: as_calls(cost) for key, cost in cost_by_key.items()},
            answered,
        )

    def release(self, most: Cost, *, test: bool = False) -> None:
        """See OwnerBudgets.release."""
        self._notify("release", self._owner, self._holder, as_calls(most), test)

    async def hold(self, cost: Cost) -> None:
        """See OwnerBudgets.hold."""
        await self._call("hold", self._owner, self._holder, as_calls(cost))

    async def begin(self) -> None:
        """See OwnerBudgets.begin; call it at every start of the holder."""
        await self._call("begin", self._owner, self._holder)
