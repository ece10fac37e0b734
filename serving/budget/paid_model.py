"""A model whose calls an experiment's budget pays for: the guard in front of the ledger.

What is already in the ledger costs nothing, and only the ledger can tell. So this guard does not
reserve a batch before it passes it on: it passes a Payment down with the batch, and the ledger's
model reports to that Payment each call that it lacks (serving/contracts/payment.py).

    PaidModel     complete(requests)               ends the search where an earlier run was refused
        |         complete_paid(requests, payment)
    CachedModel   answers from the ledger          costs nothing
        |         payment.reserve(missing)         reserved: in memory, before anything goes out
        |         payment.send(part)               sent: recorded, when the part has its slots
    gate, retry, client                            the calls
        |         the ledger records the answers
        |         payment.settle(part)             paid: what the calls did cost
        v         payment.close()                  what was reserved and not sent is released

Knows no file and no Ray.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Protocol

from optimizer.budget.cost import Cost, PriceList, is_test
from optimizer.budget.paying import Paying
from optimizer.errors import BudgetExhausted, QuotaExhausted
from optimizer.types import Failed, Outcome, Request
from serving.contracts.payment import FreePayment, PayableModel, Payment, Reservation
from serving.ledger.schema import key_of


class Endings(Protocol):
    """The request where a search was refused what it had to pay for.

    The search ends at the same request when it is repeated, though somebody else may have paid for
    that meanwhile.
    """

    @property
    def ending(self) -> tuple[bytes, str] | None:
        """Return the key of the request that was refused, and why; None: none was."""

    async def refused(self, key: bytes, reason: str) -> None:
        """Record a refusal; await it before the search gets it. The first one counts."""


class PaidModel:
    """A LanguageModel in front of the ledger, whose missing answers a budget pays for."""

    def __init__(
        self,
        model: PayableModel,
        shared_budget: Paying,
        price_list: PriceList | None = None,
        endings: Endings | None = None,
    ) -> None:
        self._model = model
        self._shared_budget = shared_budget
        self._price_list = price_list or PriceList()
        self._endings = endings

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order.

        Of a final test for which the budget covers only a part, the rest has no answer.

        Raises:
            BudgetExhausted: If the budget does not cover what must be paid. It has the outcomes of
                all requests before the one that was refused: the same ones whenever the search is
                repeated, whoever has paid for what in the meantime.
        """
        payment: Payment = FreePayment()
        if self._shared_budget.bounded:
            payment = _BatchPayment(self._shared_budget, self._price_list, is_test(requests))
        if (refused_before := self._refused_before(requests)) is not None:
            at, reason = refused_before
            raise await self._refusal(requests[:at], reason, payment)
        try:
            return await self._model.complete_paid(requests, payment)
        except BudgetExhausted as refused:
            # Of a quota there is more tomorrow: the search goes on from here then.
            if self._endings and not isinstance(refused, QuotaExhausted):
                key = key_of(self.name, requests[len(refused.answered)])
                await self._endings.refused(key, str(refused))
            raise

    def _refused_before(self, requests: Sequence[Request]) -> tuple[int, str] | None:
        """Return which of these requests an earlier run was refused, and why."""
        if self._endings is None or self._endings.ending is None:
            return None
        refused, reason = self._endings.ending
        name = self.name
        keys = (key_of(name, request) for request in requests)
        return next(((at, reason) for at, key in enumerate(keys) if key == refused), None)

    async def _refusal(
        self, requests: Sequence[Request], reason: str, payment: Payment
    ) -> BudgetExhausted:
        """Return the refusal of an earlier run, with the outcomes of what stands before it."""
        refusal = BudgetExhausted(reason)
        try:
            refusal.answered = await self._model.complete_paid(requests, payment)
        except BudgetExhausted as again:
            # A call brought no answer in the earlier run, and is missing again.
            refusal.answered = again.answered
        return refusal


class _BatchPayment:
    """Pays for the calls of one batch out of a budget."""

    def __init__(self, shared_budget: Paying, price_list: PriceList, test: bool) -> None:
        self._shared_budget = shared_budget
        self._price_list = price_list
        self._test = test
        self._most_by_key: dict[bytes, Cost] = {}

    async def reserve(self, request_by_key: Mapping[bytes, Request]) -> Reservation:
        """Reserve the first of these calls (see Payment.reserve)."""
        for key, request in request_by_key.items():
            if key not in self._most_by_key:
                self._most_by_key[key] = self._price_list.at_most(request)
        costs = [self._most_by_key[key] for key in request_by_key]
        calls = await self._shared_budget.reserve(costs, test=self._test)
        taken = dict(islice(request_by_key.items(), calls))
        most_by_key = dict(zip(taken, costs, strict=False))
        return _Wave(self._shared_budget, self._price_list, taken, most_by_key, self._test)

    def in_place(self, refusal: BudgetExhausted, *, anything: bool) -> Failed | None:
        """Return the outcome of refused calls (see Payment.in_place)."""
        if self._test and anything:
            return Failed("infrastructure", f"The request was not sent: {refusal}")
        return None


class _Wave:
    """Calls that a budget has reserved together, some of them sent, and some of those settled."""

    def __init__(
        self,
        shared_budget: Paying,
        price_list: PriceList,
        request_by_key: Mapping[bytes, Request],
        most_by_key: Mapping[bytes, Cost],
        test: bool,
    ) -> None:
        self.calls = len(request_by_key)
        self._shared_budget = shared_budget
        self._price_list = price_list
        self._request_by_key = request_by_key
        self._reserved = dict(most_by_key)
        self._sent: dict[bytes, Cost] = {}
        self._test = test

    async def send(self, keys: Sequence[bytes]) -> None:
        """Book calls as sent (see Reservation.send)."""
        most_by_key = {key: self._reserved.pop(key) for key in keys}
        # before it is known whether it came on record: a cancelled caller cannot tell
        self._sent |= most_by_key
        await self._shared_budget.send(most_by_key, test=self._test)

    def settle(self, outcome_by_key: Mapping[bytes, Outcome], *, answered: bool) -> None:
        """Settle sent calls (see Reservation.settle)."""
        cost_by_key = {
            key: self._price_list.of(outcome, self._request_by_key[key])
            for key, outcome in outcome_by_key.items()
        }
        if cost_by_key:
            self._shared_budget.settle(cost_by_key, answered=answered)
        for key in cost_by_key:
            self._sent.pop(key, None)

    def close(self) -> None:
        """Release what was not sent, and book as lost what is not settled.

        See Reservation.close.
        """
        if self._reserved:
            self._shared_budget.release(Cost.of_all(self._reserved.values()), test=self._test)
        if self._sent:
            self._shared_budget.settle(dict(self._sent), answered=False)
        self._reserved, self._sent = {}, {}
