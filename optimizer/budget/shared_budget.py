"""A budget of calls, tokens and money that several holders share.

Costs are reserved before calls are sent, at the most that they can cost, and settled after, at what
they did cost. So a limit is never exceeded, whatever comes back and however many callers there are.
What an endpoint does not report, or reports in no number, is settled at the most that was reserved
for it: unknown is never zero. One budget serves several holders (the trials of an experiment), each
with a part held for its final test. For one event loop. Knows no client, no clock and no file.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from optimizer.budget.cost import CALL_LIMITS, Cost, Limits
from optimizer.errors import BudgetExhausted


class SharedBudget:
    """A budget with limits over all its holders.

    A budget that is too small refuses when it is used. `of` names in messages whose budget it is,
    and stands before the settings that would raise its limits.
    """

    def __init__(self, limits: Limits | None = None, of: str = "budget") -> None:
        self.limits = limits or Limits()
        self.spent = Cost()
        """What was settled, and the most that the calls in flight can cost."""
        self.spare = Cost()
        """An amount that searches leave free beside the tests: an interruption of the tests may
        lose so much, and they can still be paid.
        """
        self.tested_by_holder: dict[str, Cost] = {}
        """The most that those calls of a holder's final test can cost which are in flight or
        answered: the test lacks them no more.
        """
        self.refused: set[str] = set()
        """Holders whose search was refused once: it is over, whatever is released later."""
        self._of = of
        self._test_by_holder: dict[str, Cost] = {}
        self._in_flight_by_holder: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()

    @property
    def bounded(self) -> bool:
        """Return whether there is any limit."""
        return self.limits.bounded

    @property
    def held_by_holder(self) -> dict[str, Cost]:
        """Return what each holder's final test still lacks."""
        return {
            holder: (test - self.tested_by_holder.get(holder, Cost())).at_least(Cost())
            for holder, test in self._test_by_holder.items()
        }

    def hold(self, cost: Cost, holder: str = "") -> None:
        """Hold that much for the holder's test, or more where more is held already.

        What the test has spent already is not held again.
        """
        self._test_by_holder[holder] = self._test_by_holder.get(holder, Cost()).at_least(cost)

    async def reserve(self, costs: Sequence[Cost], holder: str = "", *, test: bool = False) -> int:
        """Reserve the first of these calls, at least one, and return their number.

        Each call has to be settled. The calls of a search are all or nothing. For tokens and money
        it waits for calls in flight, as they mostly cost less than was reserved; a final test waits
        for all that may be released.

        Raises:
            BudgetExhausted: If nothing can be reserved.
        """
        if not test and (reason := self._over(holder)):
            raise BudgetExhausted(reason)
        # Callers are served in the order of their arrival.
        async with self._turn:
            while not (fitting := self._fitting(costs, holder, test)):
                # Calls in flight cost exactly one call each: waiting for them frees no calls.
                hopeless = not test and self._lacking(costs, holder, test) in CALL_LIMITS
                if hopeless or not self._in_flight_by_holder.total():
                    raise BudgetExhausted(self._refuse(costs, holder, test))
                self._settled.clear()
                await self._settled.wait()
            self._book(Cost.of_all(costs[:fitting]), holder, test)
        return fitting

    def fitting(self, costs: Sequence[Cost], holder: str = "", *, test: bool = False) -> int:
        """Return how many of these calls, counted from the first, could be reserved now."""
        if not test and self._over(holder):
            return 0
        return self._fitting(costs, holder, test)

    def reserve_now(self, cost: Cost, holder: str = "", *, test: bool = False) -> None:
        """Reserve all of that, without a wait.

        Raises:
            BudgetExhausted: If it cannot be reserved.
        """
        if not self._fitting([cost], holder, test):
            raise BudgetExhausted(self._refuse([cost], holder, test))
        self._book(cost, holder, test)

    def settle(self, most: Cost, cost: Cost, holder: str = "", *, lacking: bool = False) -> None:
        """Book what calls did cost, in place of the most that was reserved for them.

        `lacking`: they are calls of the holder's final test that have no answer, so that the test
        lacks them still.
        """
        self.spent += cost - most
        # Not below zero: calls of an earlier process may be settled after `begin` reset the count.
        self._in_flight_by_holder[holder] = max(0, self._in_flight_by_holder[holder] - most.calls)
        if lacking:
            self.tested_by_holder[holder] = (
                self.tested_by_holder.get(holder, Cost()) - most
            ).at_least(Cost())
        self._settled.set()

    def begin(self, holder: str = "") -> None:
        """Record that a holder starts, perhaps again after its process has died.

        What it had in flight is not waited for, and stays spent at the most that it can cost.
        """
        self._in_flight_by_holder[holder] = 0
        self._settled.set()

    def close(self, holder: str = "") -> None:
        """Record that a holder is done.

        Nothing is held for it any more, and nothing of it is waited for.
        """
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
                self._within(costs, self.spent, self._held(holder)),
            )
        if self._lacking(costs, holder, test) in CALL_LIMITS:
            return 0
        return self._within(costs, self._committed(holder, test))

    def _within(self, costs: Sequence[Cost], committed: Cost, held: Cost | None = None) -> int:
        """Return how many of the calls the limits leave room for, beside what is `committed`.

        Where `held` is given, they must also fit into it: what was held for a test is its own,
        though others hold more than is left since an interruption has lost some.
        """
        return sum(
            self.limits.passed_by(committed + taken) is None
            and (held is None or held.covers(taken))
            for taken in accumulate(costs)
        )

    def _lacking(self, costs: Sequence[Cost], holder: str, test: bool) -> str | None:
        """Return the first limit, calls before others, that all of the costs would exceed."""
        return self.limits.passed_by(self._committed(holder, test) + Cost.of_all(costs))

    def _committed(self, holder: str, test: bool) -> Cost:
        """Return what this holder cannot have."""
        held = Cost.of_all(
            held for owner, held in self.held_by_holder.items() if not (test and owner == holder)
        )
        return self.spent + held + (Cost() if test else self.spare)

    def _held(self, holder: str) -> Cost:
        return self.held_by_holder.get(holder, Cost())

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
        held = getattr(Cost.of_all(self.held_by_holder.values()) + self.spare, name)
        reserved = f" and {held:,.6g} are reserved for final tests" if held and not test else ""
        return (
            f"The next calls may take {wanted:,.6g} {unit}, but of the {self._of} of {limit:,.6g} "
            f"{unit} only {left:,.6g} are "
            f"left{reserved}; raise {self._of}.{name} to search on."
        )
