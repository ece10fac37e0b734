"""What models may cost, in calls, tokens and money: taken before calls are sent, at the most that they can cost; settled after, at
what they did cost. So a limit is never passed, whatever comes back and however many callers there are.

One purse serves several holders (the trials of an experiment), each with a part kept for its final test. For one event loop. Knows
no client, no clock and no file.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import accumulate
from typing import Literal, Protocol

from optimizer.errors import BudgetExhausted
from optimizer.types import Completion, Outcome, Request

Role = Literal["target", "optimizer"]
TEMPLATE_TOKENS = 64
"""What a chat template may add to a prompt, such as a system message of its own [ours: Qwen adds about 20, Llama 3.1 about 30]."""
MESSAGE_TOKENS = 16
"""What it may add to each message [ours: about 5 in those templates]."""
_CLOSE = 1e-9
"""Sums of money are floats: this much is no difference."""


@dataclass(frozen=True)
class Cost:
    """Of any number of calls. Money is in the currency of the models' prices."""

    target_calls: int = 0
    optimizer_calls: int = 0
    tokens: int = 0
    """Read and written, of both models."""
    money: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(mine + its for mine, its in zip(self.amounts, other.amounts, strict=True)))  # type: ignore[arg-type]

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(*(mine - its for mine, its in zip(self.amounts, other.amounts, strict=True)))  # type: ignore[arg-type]

    def __mul__(self, times: int) -> "Cost":
        return Cost(*(amount * times for amount in self.amounts))  # type: ignore[arg-type]

    @property
    def amounts(self) -> tuple[int | float, ...]:
        return (self.target_calls, self.optimizer_calls, self.tokens, self.money)

    def at_least(self, other: "Cost") -> "Cost":
        """The larger of the two in each respect."""
        return Cost(*map(max, self.amounts, other.amounts))  # type: ignore[arg-type]

    @classmethod
    def of_all(cls, costs: Iterable["Cost"]) -> "Cost":
        return sum(costs, cls())


@dataclass(frozen=True)
class Limits:
    """What may be spent; None: without limit. The names are those of Cost."""

    target_calls: int | None = None
    optimizer_calls: int | None = None
    tokens: int | None = None
    money: float | None = None

    @property
    def bounded(self) -> bool:
        return any(limit is not None for limit in asdict(self).values())

    def passed_by(self, cost: Cost) -> str | None:
        """The first of these limits that the cost passes."""
        for name in (field.name for field in fields(Cost)):
            limit = getattr(self, name)
            if limit is not None and getattr(cost, name) > limit + _CLOSE:
                return name
        return None


_CALLS = ("target_calls", "optimizer_calls")


@dataclass(frozen=True)
class Tariff:
    """What a call of one model costs. Prices are of one token."""

    role: Role = "target"
    prompt_price: float = 0.0
    completion_price: float = 0.0
    max_tokens: int | None = None
    """Replaces the request's own limit, where the model's settings do."""

    def at_most(self, request: Request) -> Cost:
        """No tokenizer makes more tokens of a text than it has bytes."""
        read = sum(text_bytes(message.content) + MESSAGE_TOKENS for message in request.messages) + TEMPLATE_TOKENS
        return self._cost(read, self.max_tokens or request.sampling.max_tokens)

    def of(self, outcome: Outcome) -> Cost:
        """An answer of the ledger costs what it cost when it was paid for: so a repeated run takes the same course."""
        if isinstance(outcome, Completion):
            return self._cost(outcome.prompt_tokens, outcome.completion_tokens)
        return self._cost(0, 0)

    def _cost(self, read: int, written: int) -> Cost:
        calls = {f"{self.role}_calls": 1}
        return Cost(**calls, tokens=read + written, money=read * self.prompt_price + written * self.completion_price)


class Purse:
    """`limits` over all holders. A purse that is too small says so when it is asked.

    `of` names in messages whose purse it is, and stands before the settings that would raise its limits.
    """

    def __init__(self, limits: Limits | None = None, of: str = "budget") -> None:
        self.limits = limits or Limits()
        self.spent = Cost()
        """What was settled, and the most that the calls in flight can cost."""
        self.kept_by_holder: dict[str, Cost] = {}
        """For their final tests."""
        self.refused: set[str] = set()
        """Holders whose search was refused once: it is over, whatever comes free later."""
        self._of = of
        self._in_flight_by_holder: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()

    @property
    def bounded(self) -> bool:
        return self.limits.bounded

    def keep(self, cost: Cost, holder: str = "") -> None:
        """Sets that much aside for the holder's test, or more where more was set aside already."""
        self.kept_by_holder[holder] = self.kept_by_holder.get(holder, Cost()).at_least(cost)

    async def take(self, costs: Sequence[Cost], holder: str = "", *, test: bool = False) -> int:
        """How many of these calls, from the first on, may be sent now: at least one. Each `take` is to be settled.

        Calls are all or nothing. For tokens and money what is in flight is waited for, as it mostly costs less than was taken.
        Raises BudgetExhausted: nothing was taken.
        """
        if not test and (reason := self._over(holder)):
            raise BudgetExhausted(reason)
        async with self._turn:  # in the order in which they came
            while not (fitting := self._fitting(costs, holder, test)):
                if not self._in_flight_by_holder.total() or self._lacking(costs, holder, test) in _CALLS:
                    raise BudgetExhausted(self._refuse(costs, holder, test))
                self._settled.clear()
                await self._settled.wait()
            self._book(Cost.of_all(costs[:fitting]), holder, test)
        return fitting

    def settle(self, most: Cost, cost: Cost, holder: str = "") -> None:
        """Books what calls did cost, in place of the most that was taken for them."""
        self.spent += cost - most
        self._in_flight_by_holder[holder] = max(0, self._in_flight_by_holder[holder] - 1)
        self._settled.set()

    def begin(self, holder: str = "") -> None:
        """The holder starts, perhaps anew after its process has died: what it had in flight is not waited for, and stays spent at
        the most that it can cost."""
        self._in_flight_by_holder[holder] = 0
        self._settled.set()

    def close(self, holder: str = "") -> None:
        """The holder is done: nothing is kept for it any more, and nothing of it is waited for."""
        self.kept_by_holder[holder] = Cost()
        self.begin(holder)

    def _over(self, holder: str) -> str:
        return f"The {self._of} is spent; raise it to search on." if holder in self.refused else ""

    def _fitting(self, costs: Sequence[Cost], holder: str, test: bool) -> int:
        if not self.limits.bounded:
            return len(costs)
        if self._lacking(costs, holder, test) in _CALLS:
            return 0
        committed = self._committed(holder, test)
        return sum(self.limits.passed_by(committed + taken) is None for taken in accumulate(costs))

    def _lacking(self, costs: Sequence[Cost], holder: str, test: bool) -> str | None:
        """The first limit, calls before others, that all of the costs would pass."""
        return self.limits.passed_by(self._committed(holder, test) + Cost.of_all(costs))

    def _committed(self, holder: str, test: bool) -> Cost:
        """What this holder cannot have."""
        return self.spent + Cost.of_all(kept for owner, kept in self.kept_by_holder.items() if not (test and owner == holder))

    def _book(self, most: Cost, holder: str, test: bool) -> None:
        self.spent += most
        self._in_flight_by_holder[holder] += 1
        if test and (kept := self.kept_by_holder.get(holder)):
            self.kept_by_holder[holder] = (kept - most).at_least(Cost())

    def _refuse(self, costs: Sequence[Cost], holder: str, test: bool) -> str:
        if not test:
            self.refused.add(holder)
        name = self._lacking(costs, holder, test) or "tokens"
        unit, limit = name.replace("_", " "), getattr(self.limits, name)
        left = max(0, limit - getattr(self._committed(holder, test), name))
        wanted = getattr(Cost.of_all(costs) if name in _CALLS else costs[0], name)
        kept = getattr(Cost.of_all(self.kept_by_holder.values()), name)
        aside = f" and {kept:,.6g} kept for final tests" if kept and not test else ""
        return (f"The next calls may take {wanted:,.6g} {unit}, but of the {self._of} of {limit:,.6g} {unit} only {left:,.6g} are "
                f"left{aside}; raise {self._of}.{name} to search on.")


class Spending(Protocol):
    """A purse as one of its holders sees it, here or in another process."""

    @property
    def bounded(self) -> bool: ...

    async def take(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """See Purse.take."""

    def settle(self, most: Cost, cost: Cost) -> None:
        """See Purse.settle."""


async def in_waves(
    purse: Spending, tariff: Tariff, requests: Sequence[Request], send: Callable[[Sequence[Request]], Awaitable[list[Outcome]]],
    into: list[Outcome], *, lost_is_spent: bool = False,
) -> None:
    """Sends the requests, as many at a time as the purse lets, and adds their outcomes to `into`, in order.

    Raises what `take` and `send` raise; then `into` has the outcomes that came before. Where `send` raises, nobody knows what its
    calls have cost: nothing, or, if `lost_is_spent`, the most that they can.
    """
    if not purse.bounded:
        into.extend(await send(requests))
        return
    costs = [tariff.at_most(request) for request in requests]
    test = all(request.purpose == "test" for request in requests)
    at = 0
    while at < len(requests):
        until = at + await purse.take(costs[at:], test=test)
        most = Cost.of_all(costs[at:until])
        paid = most if lost_is_spent else Cost()
        try:
            outcomes = await send(requests[at:until])
            paid = Cost.of_all(map(tariff.of, outcomes))
        finally:
            purse.settle(most, paid)
        into.extend(outcomes)
        at = until


def text_bytes(text: str) -> int:
    """Its length in UTF-8, lone surrogates included."""
    return len(text.encode("utf-8", "surrogatepass"))
