"""What models may cost, in calls, tokens and money: taken before calls are sent, at the most that
they can cost; settled after, at what they did cost. So a limit is never passed, whatever comes back
and however many callers there are. What an endpoint does not say, or says in no number, is settled
at the most that was reserved for it: unknown is never nothing.

One budget serves several holders (the trials of an experiment), each with a part kept for its final
test. For one event loop. Knows no client, no clock and no file.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from optimizer.budget.cost import CALL_LIMITS, Cost, Limits
from optimizer.errors import BudgetExhausted


class SharedBudget:
    """`limits` over all holders. A budget that is too small says so when it is asked.

    `of` names in messages whose budget it is, and stands before the settings that would raise its
    limits.
    """

    def __init__(self, limits: Limits | None = None, of: str = "budget") -> None:
        self.limits = limits or Limits()
        self.spent = Cost()
        """What was settled, and the most that the calls in flight can cost."""
        self.spare = Cost()
        """What searches leave alone beside the tests: an interruption of the tests may lose so
        much, and they can still be paid.
        """
        self.tested_by_holder: dict[str, Cost] = {}
        """The most that those calls of its final test can cost which are in flight or answered: the
        test lacks them no more.
        """
        self.refused: set[str] = set()
        """Holders whose search was refused once: it is over, whatever comes free later."""
        self._of = of
        self._test_by_holder: dict[str, Cost] = {}
        self._in_flight_by_holder: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()

    @property
    def bounded(self) -> bool:
        return self.limits.bounded

    @property
    def kept_by_holder(self) -> dict[str, Cost]:
        """What their final tests still lack."""
        return {
            holder: (test - self.tested_by_holder.get(holder, Cost())).at_least(Cost())
            for holder, test in self._test_by_holder.items()
        }

    def keep(self, cost: Cost, holder: str = "") -> None:
        """Sets that much aside for the holder's test, or more where more was set aside already;
        less what of the test is behind.
        """
        self._test_by_holder[holder] = self._test_by_holder.get(holder, Cost()).at_least(cost)

    async def take(self, costs: Sequence[Cost], holder: str = "", *, test: bool = False) -> int:
        """How many of these calls, from the first on, may be sent now: at least one.

        Each call is to be settled.

        The calls of a search are all or nothing. For tokens and money what is in flight is waited
        for, as it mostly costs less than was taken; a final test waits for all that may come free.
        Raises BudgetExhausted: nothing was taken.
        """
        if not test and (reason := self._over(holder)):
            raise BudgetExhausted(reason)
        async with self._turn:  # in the order in which they came
            while not (fitting := self._fitting(costs, holder, test)):
                hopeless = not test and self._lacking(costs, holder, test) in CALL_LIMITS
                if hopeless or not self._in_flight_by_holder.total():
                    raise BudgetExhausted(self._refuse(costs, holder, test))
                self._settled.clear()
                await self._settled.wait()
            self._book(Cost.of_all(costs[:fitting]), holder, test)
        return fitting

    def fitting(self, costs: Sequence[Cost], holder: str = "", *, test: bool = False) -> int:
        """How many of these calls, from the first on, could be taken now."""
        if not test and self._over(holder):
            return 0
        return self._fitting(costs, holder, test)

    def take_now(self, cost: Cost, holder: str = "", *, test: bool = False) -> None:
        """All of that, without a wait. Raises BudgetExhausted."""
        if not self._fitting([cost], holder, test):
            raise BudgetExhausted(self._refuse([cost], holder, test))
        self._book(cost, holder, test)

    def settle(self, most: Cost, cost: Cost, holder: str = "", *, lacking: bool = False) -> None:
        """Books what calls did cost, in place of the most that was taken for them.

        `lacking`: they are calls of the holder's final
        test that have no answer, so that the test lacks them still.
        """
        self.spent += cost - most
        self._in_flight_by_holder[holder] = max(0, self._in_flight_by_holder[holder] - most.calls)
        if lacking:
            self.tested_by_holder[holder] = (
                self.tested_by_holder.get(holder, Cost()) - most
            ).at_least(Cost())
        self._settled.set()

    def begin(self, holder: str = "") -> None:
        """The holder starts, perhaps anew after its process has died: what it had in flight is not
        waited for, and stays spent at
        the most that it can cost.
        """
        self._in_flight_by_holder[holder] = 0
        self._settled.set()

    def close(self, holder: str = "") -> None:
        """The holder is done: nothing is kept for it any more, and nothing of it is waited for."""
        self._test_by_holder[holder] = Cost()
        self.begin(holder)

    def _over(self, holder: str) -> str:
        return f"The {self._of} is spent; raise it to search on." if holder in self.refused else ""

    def _fitting(self, costs: Sequence[Cost], holder: str, test: bool) -> int:
        if not self.limits.bounded:
            return len(costs)
        if test:
            return max(
                self._within(costs, self._committed(holder, test)),
                self._within(costs, self.spent, self._kept(holder)),
            )
        if self._lacking(costs, holder, test) in CALL_LIMITS:
            return 0
        return self._within(costs, self._committed(holder, test))

    def _within(self, costs: Sequence[Cost], committed: Cost, kept: Cost | None = None) -> int:
        """How many of the calls the limits leave room for, beside what is `committed`; and of what
        was `kept`, where that is given: what was kept for a test is its own, though others keep
        more than is left since an interruption has lost some.
        """
        return sum(
            self.limits.passed_by(committed + taken) is None
            and (kept is None or kept.covers(taken))
            for taken in accumulate(costs)
        )

    def _lacking(self, costs: Sequence[Cost], holder: str, test: bool) -> str | None:
        """The first limit, calls before others, that all of the costs would pass."""
        return self.limits.passed_by(self._committed(holder, test) + Cost.of_all(costs))

    def _committed(self, holder: str, test: bool) -> Cost:
        """What this holder cannot have."""
        kept = Cost.of_all(
            kept for owner, kept in self.kept_by_holder.items() if not (test and owner == holder)
        )
        return self.spent + kept + (Cost() if test else self.spare)

    def _kept(self, holder: str) -> Cost:
        return self.kept_by_holder.get(holder, Cost())

    def _book(self, most: Cost, holder: str, test: bool) -> None:
        self.spent += most
        self._in_flight_by_holder[holder] += most.calls
        if test:
            self.tested_by_holder[holder] = self.tested_by_holder.get(holder, Cost()) + most

    def _refuse(self, costs: Sequence[Cost], holder: str, test: bool) -> str:
        if not test:
            self.refused.add(holder)
        name = self._lacking(costs, holder, test) or "tokens"
        unit, limit = name.replace("_", " "), getattr(self.limits, name)
        left = max(0, limit - getattr(self._committed(holder, test), name))
        wanted = getattr(Cost.of_all(costs) if name in CALL_LIMITS else costs[0], name)
        kept = getattr(Cost.of_all(self.kept_by_holder.values()) + self.spare, name)
        aside = f" and {kept:,.6g} kept for final tests" if kept and not test else ""
        return (
            f"The next calls may take {wanted:,.6g} {unit}, but of the {self._of} of {limit:,.6g} "
            f"{unit} only {left:,.6g} are "
            f"left{aside}; raise {self._of}.{name} to search on."
        )
