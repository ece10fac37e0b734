"""Payment of calls that the ledger lacks.

A guard in front of the ledger passes a Payment down with a batch, and the ledger's model reports to
it what becomes of each call. Knows no budget and no price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from optimizer.errors import BudgetExhausted
from optimizer.protocols import LanguageModel
from optimizer.types import Failed, Outcome, Request


class Reservation(Protocol):
    """The first of some calls, which may go out; its methods are called in this order."""

    @property
    def calls(self) -> int:
        """Return how many of the calls may go out."""

    async def send(self, keys: Sequence[bytes]) -> None:
        """Book calls as sent; await it before they go out. Where it raises they must not."""

    def settle(self, outcome_by_key: Mapping[bytes, Outcome], *, answered: bool) -> None:
        """Book what sent calls did cost.

        Args:
            outcome_by_key: Their outcomes.
            answered: Their answers are in the ledger; False: they brought none.
        """

    def close(self) -> None:
        """Release what was not sent, and book as lost what was sent and never settled."""


class Payment(Protocol):
    """The payment of one batch."""

    async def reserve(self, request_by_key: Mapping[bytes, Request]) -> Reservation:
        """Reserve the first of these calls, at least one.

        Raises:
            BudgetExhausted: If none of them may go out.
        """

    def in_place(self, refusal: BudgetExhausted, *, anything: bool) -> Failed | None:
        """Return the outcome of calls that were refused; None where the batch ends there.

        Args:
            refusal: Why they may not go out.
            anything: Some requests of the batch have an outcome already.
        """


class PayableModel(LanguageModel, Protocol):
    """A LanguageModel whose calls a Payment pays for."""

    async def complete_paid(self, requests: Sequence[Request], payment: Payment) -> list[Outcome]:
        """Return one outcome for each request, in order.

        Raises:
            BudgetExhausted: If the payment refused a request. It has the outcomes of all requests
                before the first one that was refused.
        """


@dataclass(frozen=True)
class FreeReservation:
    """A Reservation that books nothing."""

    calls: int

    async def send(self, keys: Sequence[bytes]) -> None:
        """Book nothing."""

    def settle(self, outcome_by_key: Mapping[bytes, Outcome], *, answered: bool) -> None:
        """Book nothing."""

    def close(self) -> None:
        """Release nothing."""


class FreePayment:
    """A Payment that refuses nothing."""

    async def reserve(self, request_by_key: Mapping[bytes, Request]) -> Reservation:
        """Reserve all calls."""
        return FreeReservation(len(request_by_key))

    def in_place(self, refusal: BudgetExhausted, *, anything: bool) -> Failed | None:
        """Return None: nothing is refused."""
        return None
