"""The answers that a trial has already, in front of its budget.

What it requests again costs it nothing, so that equal budgets buy equally much. A request is
recognised by all that decides its answer, and not by what it is for. Equal requests of one batch
are sent once. A failure is not remembered. A trial that is replayed makes the same requests in the
same order, and so takes the same course. For one event loop, and for batches that follow one
another: of two that are in flight together neither knows the other's answers.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.errors import BudgetExhausted
from optimizer.types import Completion, Outcome, Request

KeyOf = Callable[[str, Request], Hashable]
"""(a model's name, a request) -> a key that is equal for requests with one answer."""


def whole_request(model: str, request: Request) -> Hashable:
    """Return the request without its purpose.

    It holds all messages: a digest of them takes less memory.
    """
    return replace(request, purpose="learn")


class Remembering:
    """A budgeted model with the memory of one trial.

    Outcomes that cost nothing are marked (`repeated`), and `budget` counts them.
    """

    def __init__(self, model: Budgeted, budget: Budget, key_of: KeyOf = whole_request) -> None:
        self._model = model
        self._budget = budget
        self._key_of = key_of
        self._answer_by_key: dict[Hashable, Completion] = {}

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order.

        Raises:
            BudgetExhausted: With the outcomes of the first requests, as far as there are any.
        """
        keys = self._keys(requests)
        new = self._new(keys, requests)
        try:
            sent = await self._model.complete(list(new.values())) if new else []
        except BudgetExhausted as refusal:
            refusal.answered = tuple(
                self._merged(keys, requests, dict(zip(new, refusal.answered, strict=False)))
            )
            raise
        return self._merged(keys, requests, dict(zip(new, sent, strict=True)))

    def fitting(self, requests: Sequence[Request]) -> int:
        """Return how many of these requests are covered; known ones always are."""
        keys = self._keys(requests)
        new = self._new(keys, requests)
        # Known answers cost nothing, so the first uncovered new request is the limit.
        covered = self._model.fitting(list(new.values())) if new else 0
        if covered == len(new):
            return len(requests)
        return keys.index(list(new)[covered])

    def covers(self, requests: int) -> bool:
        """Return quickly whether so many requests are covered (see Limited.covers)."""
        return self._model.covers(requests)

    def known(self, requests: Sequence[Request]) -> list[bool]:
        """Return for each of these requests whether its answer is known."""
        return [key in self._answer_by_key for key in self._keys(requests)]

    def _keys(self, requests: Sequence[Request]) -> list[Hashable]:
        name = self.name
        return [self._key_of(name, request) for request in requests]

    def _new(
        self, keys: Sequence[Hashable], requests: Sequence[Request]
    ) -> dict[Hashable, Request]:
        """Return the requests without an answer, each once, in their order."""
        new: dict[Hashable, Request] = {}
        for key, request in zip(keys, requests, strict=True):
            if key not in self._answer_by_key:
                new.setdefault(key, request)
        return new

    def _merged(
        self,
        keys: Sequence[Hashable],
        requests: Sequence[Request],
        outcome_by_key: Mapping[Hashable, Outcome],
    ) -> list[Outcome]:
        """Return the outcomes of the batch up to the first request that has none.

        It remembers the answers, and counts the repeats.
        """
        outcomes: list[Outcome] = []
        repeats: list[Request] = []
        fresh = set(outcome_by_key)
        for key, request in zip(keys, requests, strict=True):
            # The fresh outcome first: it may be a failure, which the memory does not have.
            outcome = outcome_by_key.get(key) or self._answer_by_key.get(key)
            if outcome is None:
                break
            if key in fresh:
                fresh.discard(key)
                outcomes.append(outcome)
            else:
                repeats.append(request)
                outcomes.append(replace(outcome, repeated=True))
        self._answer_by_key.update(
            (key, outcome)
            for key, outcome in outcome_by_key.items()
            if isinstance(outcome, Completion)
        )
        self._budget.repeated(repeats)
        return outcomes
