"""What a run may spend on one model, and what it has spent: reserve before dispatch, settle after.

A call that the ledger answers counts like any other, so that a replayed run takes the same course
as the run that it repeats; it is also counted apart, so that people see what was paid. What the
trial itself has asked before is no call (answer_memory.py). Knows no clock, no price and no client:
limits of tokens, money and time are those of a budget (shared_budget.py), which both models of a
trial share.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from optimizer.budget.cost import Cost, PriceList, is_test
from optimizer.budget.paying import Spending
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import BudgetExhausted, SettingsError
from optimizer.protocols import LanguageModel
from optimizer.types import Failed, Outcome, Purpose, Request


@dataclass(frozen=True)
class Usage:
    """What was spent.

    Prompt and completion tokens are those of fresh answers only: an answer from the ledger costs
    none.
    """

    calls: int = 0
    failed: int = 0
    ledger_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that engines took from their prefix caches.

    An answer of the ledger has the figure with which it was paid, so
    that a repeated run shows the same."""
    cacheable_tokens: int = 0
    """Prompt tokens of the answers that say how many of them were cached."""
    unmeasured: int = 0
    """Fresh calls of which nobody has said how many tokens they took: they are not in the figures
    above.
    """
    repeats: int = 0
    """Requests that were answered from what the trial knew already: they are no calls, and in none
    of the figures above.
    """

    @property
    def prefix_hit_rate(self) -> float | None:
        """Share of the prompt tokens that came from a prefix cache; None where no engine says."""
        return self.cached_tokens / self.cacheable_tokens if self.cacheable_tokens else None

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in fields(self)
            }
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            **{
                field.name: getattr(self, field.name) - getattr(other, field.name)
                for field in fields(self)
            }
        )


class Budget:
    """The calls of one model in one trial. For one event loop: it never waits, so it needs no lock.

    `max_calls` None means no limit. `model` names the model in messages. Raises SettingsError for a
    negative limit.
    """

    def __init__(self, max_calls: int | None = None, model: str = "model") -> None:
        if max_calls is not None and max_calls < 0:
            raise SettingsError(
                f"The budget of {max_calls} {model} calls is negative; give 0 or more, or leave it "
                "out."
            )
        self.max_calls = max_calls
        self.model = model
        self._usage: dict[Purpose, Usage] = {}
        self._in_flight: Counter[Purpose] = Counter()
        self._kept_for_test = 0

    @property
    def usage_by_purpose(self) -> Mapping[Purpose, Usage]:
        return dict(self._usage)

    @property
    def usage(self) -> Usage:
        """Over all purposes."""
        return sum(self._usage.values(), Usage())

    @property
    def calls_by_purpose(self) -> dict[str, int]:
        return {purpose: usage.calls for purpose, usage in self._usage.items() if usage.calls}

    def available(self, purpose: Purpose) -> int | None:
        """Calls that may still be reserved for this purpose; None where there is no limit."""
        if self.max_calls is None:
            return None
        left = self.max_calls - self.usage.calls - self._in_flight.total()
        return left if purpose == "test" else max(0, left - self._still_kept())

    def reserve_for_test(self, calls: int) -> None:
        """Keep calls aside that only the purpose "test" may use.

        Raises SettingsError if the budget does not have them.
        """
        left = self.available("test")
        if left is not None and calls > left:
            raise SettingsError(
                f"The final test needs {calls} {self.model} calls, but the budget has only {left}; "
                "raise the budget or make the test split smaller."
            )
        self._kept_for_test = calls

    def reserve(self, calls_by_purpose: Mapping[Purpose, int]) -> None:
        """Take the calls of one batch, all or nothing.

        Raises BudgetExhausted; then nothing is taken.
        """
        search = sum(calls for purpose, calls in calls_by_purpose.items() if purpose != "test")
        for purpose, wanted in (("learn", search), ("test", sum(calls_by_purpose.values()))):
            left = self.available("test" if purpose == "test" else "learn")
            if left is not None and wanted > left:
                raise BudgetExhausted(self._refusal(wanted, left))
        self._in_flight.update(calls_by_purpose)

    def release(self, calls_by_purpose: Mapping[Purpose, int]) -> None:
        """Give a reservation back: the batch raised, so that it has no answers."""
        self._in_flight.subtract(calls_by_purpose)

    def settle(self, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Book a reserved batch that came back."""
        for request, outcome in zip(requests, outcomes, strict=True):
            self._in_flight[request.purpose] -= 1
            self._usage[request.purpose] = self._usage.get(request.purpose, Usage()) + _usage_of(
                outcome
            )

    def repeated(self, requests: Iterable[Request]) -> None:
        """Count requests that cost nothing, as the trial had their answers."""
        for purpose, repeats in _purposes(requests).items():
            self._usage[purpose] = self._usage.get(purpose, Usage()) + Usage(repeats=repeats)

    def _still_kept(self) -> int:
        used = self._usage.get("test", Usage()).calls + self._in_flight["test"]
        return max(0, self._kept_for_test - used)

    def _refusal(self, wanted: int, left: int) -> str:
        kept = self._still_kept()
        aside = f" and {kept} kept for the final test" if kept else ""
        return (
            f"The next batch needs {wanted} {self.model} calls, but of the budget of "
            f"{self.max_calls} only {left} are left"
            f"{aside}; raise the budget to search on."
        )


class Budgeted:
    """A language model inside a budget, and inside a budget: no batch is sent whose calls the
    budget does not cover whole. Near a
    limit of tokens or money a batch goes out in parts.
    """

    def __init__(
        self,
        model: LanguageModel,
        budget: Budget,
        shared_budget: Spending | None = None,
        price_list: PriceList | None = None,
    ) -> None:
        self._model = model
        self._budget = budget
        self._shared_budget = shared_budget or SharedBudget()
        self._price_list = price_list or PriceList()

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """As LanguageModel.complete.

        Raises BudgetExhausted: for calls, before anything is sent; for tokens and money, behind
        parts
        that were sent and booked, which it has.
        """
        outcomes: list[Outcome] = []
        self._budget.reserve(_purposes(requests))
        try:
            await _in_waves(
                self._shared_budget, self._price_list, requests, self._model.complete, outcomes
            )
        except BudgetExhausted as refusal:
            refusal.answered = tuple(outcomes)
            raise
        finally:
            # Cancelled or broken: what has no answer must not stay reserved.
            answered = len(outcomes)
            self._budget.settle(requests[:answered], outcomes)
            self._budget.release(_purposes(requests[answered:]))
        return outcomes

    def fitting(self, requests: Sequence[Request]) -> int:
        """How many of these requests, from the first on, are covered now, each at the most that it
        can cost.
        """
        purpose: Purpose = "test" if is_test(requests) else "learn"
        left = self._budget.available(purpose)
        within = requests if left is None else requests[:left]
        return self._shared_budget.fitting(
            [self._price_list.at_most(request) for request in within], test=purpose == "test"
        )

    def covers(self, requests: int) -> bool:
        """Say whether so many requests of a search are covered, whatever is asked; a quick answer,
        False where it is not sure.
        """
        left = self._budget.available("learn")
        return not self._shared_budget.bounded and (left is None or requests <= left)


def _purposes(requests: Iterable[Request]) -> Counter[Purpose]:
    return Counter(request.purpose for request in requests)


def _usage_of(outcome: Outcome) -> Usage:
    read, written = outcome.prompt_tokens, outcome.completion_tokens
    unmeasured = int(read is None or written is None)
    fresh = Usage(
        calls=1, prompt_tokens=read or 0, completion_tokens=written or 0, unmeasured=unmeasured
    )
    if isinstance(outcome, Failed):
        return fresh + Usage(failed=1)
    told = outcome.cached_tokens is not None
    cache = Usage(
        cached_tokens=outcome.cached_tokens or 0, cacheable_tokens=(read or 0) if told else 0
    )
    return cache + (Usage(calls=1, ledger_hits=1) if outcome.from_ledger else fresh)


async def _in_waves(
    shared_budget: Spending,
    price_list: PriceList,
    requests: Sequence[Request],
    send: Callable[[Sequence[Request]], Awaitable[list[Outcome]]],
    into: list[Outcome],
) -> None:
    """Sends the requests, as many at a time as the budget lets, and adds their outcomes to `into`,
    in order.

    Raises what `take` and `send` raise; then `into` has the outcomes that came before, also those
    that a refusal brings along. Other calls whose `send` raises cost nothing.
    """
    if not shared_budget.bounded:
        await _sent(send, requests, into)
        return
    costs = [price_list.at_most(request) for request in requests]
    test = is_test(requests)
    at = 0
    while at < len(requests):
        until = at + await shared_budget.take(costs[at:], test=test)
        try:
            await _sent(send, requests[at:until], into)
        finally:
            paid = Cost.of_all(map(price_list.of, into[at:until], requests[at:until]))
            shared_budget.settle(Cost.of_all(costs[at:until]), paid)
        at = until


async def _sent(
    send: Callable[[Sequence[Request]], Awaitable[list[Outcome]]],
    requests: Sequence[Request],
    into: list[Outcome],
) -> None:
    try:
        into.extend(await send(requests))
    except BudgetExhausted as refusal:
        into.extend(refusal.answered)
        raise
