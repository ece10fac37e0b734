"""The budget of one model in one trial: reserve calls before dispatch, settle after.

A cached call counts like any other, so that a replayed run takes the same course as the run that it
repeats; it is also counted separately, so that people see what was paid. A request that the trial
itself has made before is no call (answer_memory.py). Knows no clock, no price and no client: limits
of tokens, money and time are those of a shared budget (shared_budget.py), which both models of a
trial share.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from optimizer.budget.cost import TESTING, Cost, PriceList, is_test
from optimizer.budget.paying import Spending
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import BudgetExhausted, SettingsError
from optimizer.protocols import LanguageModel
from optimizer.types import Failed, Outcome, Purpose, Request


@dataclass(frozen=True)
class Usage:
    """Calls and tokens that were spent.

    Prompt and completion tokens are those of fresh answers only: a cached answer costs none.
    """

    calls: int = 0
    failed: int = 0
    ledger_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that engines took from their prefix caches. A cached answer has the figure
    with which it was paid, so that a repeated run shows the same.
    """
    cacheable_tokens: int = 0
    """Prompt tokens of the answers that report how many of them were cached."""
    unmeasured: int = 0
    """Fresh calls without a known number of tokens: they are not in the figures above."""
    repeats: int = 0
    """Requests that were answered from the trial's memory: they are no calls, and in none of the
    figures above.
    """

    @property
    def prefix_hit_rate(self) -> float | None:
        """Return the share of the prompt tokens that came from a prefix cache.

        It is None where no engine reports it.
        """
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
    """The calls of one model in one trial; for one event loop.

    It never waits, so it needs no lock. `max_calls` None means no limit. `model` names the model in
    messages.

    Raises:
        SettingsError: For a negative limit.
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
        self._held_for_test = 0

    @property
    def usage_by_purpose(self) -> Mapping[Purpose, Usage]:
        """Return the usage of each purpose."""
        return dict(self._usage)

    @property
    def usage(self) -> Usage:
        """Return the usage over all purposes."""
        return sum(self._usage.values(), Usage())

    @property
    def calls_by_purpose(self) -> dict[str, int]:
        """Return the number of calls of each purpose, without zeros."""
        return {purpose: usage.calls for purpose, usage in self._usage.items() if usage.calls}

    def available(self, purpose: Purpose) -> int | None:
        """Return the calls that may still be reserved for this purpose; None without a limit."""
        if self.max_calls is None:
            return None
        left = self.max_calls - self.usage.calls - self._in_flight.total()
        return left if purpose in TESTING else max(0, left - self._still_held())

    def reserve_for_test(self, calls: int) -> None:
        """Hold calls that only a final test may use.

        Raises:
            SettingsError: If the budget does not have them.
        """
        left = self.available("test")
        if left is not None and calls > left:
            raise SettingsError(
                f"The final test needs {calls} {self.model} calls, but the budget has only {left}; "
                "raise the budget or make the test split smaller."
            )
        self._held_for_test = calls

    def reserve(self, calls_by_purpose: Mapping[Purpose, int]) -> None:
        """Reserve the calls of one batch, all or nothing.

        Raises:
            BudgetExhausted: If they are not available; then nothing is reserved.
        """
        search = sum(calls for purpose, calls in calls_by_purpose.items() if purpose not in TESTING)
        # The search alone must fit beside what is held for the test, and all of it into the whole.
        for purpose, wanted in (("learn", search), ("test", sum(calls_by_purpose.values()))):
            left = self.available("test" if purpose == "test" else "learn")
            if left is not None and wanted > left:
                raise BudgetExhausted(self._refusal(wanted, left))
        self._in_flight.update(calls_by_purpose)

    def release(self, calls_by_purpose: Mapping[Purpose, int]) -> None:
        """Release a reservation: the batch raised, so that it has no answers."""
        self._in_flight.subtract(calls_by_purpose)

    def settle(self, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Settle a reserved batch that came back."""
        for request, outcome in zip(requests, outcomes, strict=True):
            self._in_flight[request.purpose] -= 1
            self._usage[request.purpose] = self._usage.get(request.purpose, Usage()) + _usage_of(
                outcome
            )

    def repeated(self, requests: Iterable[Request]) -> None:
        """Count requests that cost nothing, as the trial had their answers."""
        for purpose, repeats in _purposes(requests).items():
            self._usage[purpose] = self._usage.get(purpose, Usage()) + Usage(repeats=repeats)

    def _still_held(self) -> int:
        used = sum(
            self._usage.get(purpose, Usage()).calls + self._in_flight[purpose]
            for purpose in TESTING
        )
        return max(0, self._held_for_test - used)

    def _refusal(self, wanted: int, left: int) -> str:
        held = self._still_held()
        reserved = f" and {held} are reserved for the final test" if held else ""
        return (
            f"The next batch needs {wanted} {self.model} calls, but of the budget of "
            f"{self.max_calls} only {left} are left"
            f"{reserved}; raise the budget to search on."
        )


class Budgeted:
    """A language model inside a call budget, and inside a shared budget.

    No batch is sent whose calls the budget does not cover as a whole. Near a limit of tokens or
    money a batch goes out in parts.
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
        """Return the model's identity."""
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order.

        Raises:
            BudgetExhausted: For calls, before anything is sent; for tokens and money, behind parts
                that were sent and settled, whose outcomes it has.
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
        """Return how many of these requests, counted from the first, are covered now.

        Each is counted with the most that it can cost.
        """
        purpose: Purpose = "test" if is_test(requests) else "learn"
        left = self._budget.available(purpose)
        within = requests if left is None else requests[:left]
        return self._shared_budget.fitting(
            [self._price_list.at_most(request) for request in within], test=purpose == "test"
        )

    def covers(self, requests: int) -> bool:
        """Return quickly whether so many requests of a search are covered; False if unsure."""
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
    reported = outcome.cached_tokens is not None
    cache = Usage(
        cached_tokens=outcome.cached_tokens or 0, cacheable_tokens=(read or 0) if reported else 0
    )
    return cache + (Usage(calls=1, ledger_hits=1) if outcome.from_ledger else fresh)


async def _in_waves(
    shared_budget: Spending,
    price_list: PriceList,
    requests: Sequence[Request],
    send: Callable[[Sequence[Request]], Awaitable[list[Outcome]]],
    into: list[Outcome],
) -> None:
    """Send the requests, as many at a time as the budget permits, and add outcomes to `into`.

    Outcomes are in order. Errors of `reserve` and `send` pass through; then `into` has the outcomes
    that came before, also those that a refusal carries. Other calls whose `send` raises cost
    nothing.
    """
    if not shared_budget.bounded:
        await _sent(send, requests, into)
        return
    costs = [price_list.at_most(request) for request in requests]
    test = is_test(requests)
    at = 0
    while at < len(requests):
        until = at + await shared_budget.reserve(costs[at:], test=test)
        try:
            await _sent(send, requests[at:until], into)
        finally:
            # Outcomes that arrived before an error are settled at their cost, the others at
            # nothing.
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
