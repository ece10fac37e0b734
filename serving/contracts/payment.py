"""Who pays for what the ledger lacks. A guard in front of the ledger hands a Payment down with a
batch, and the ledger's model tells it what becomes of each call. Knows no budget and no price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from optimizer.errors import BudgetExhausted
from optimizer.protocols import LanguageModel
from optimizer.types import Failed, Outcome, Request


class Reservation(Protocol):
    """The first of some calls, which may go out. The methods are called in their order here."""

    @property
    def calls(self) -> int:
        """Return how many of the calls may go out."""

    async def send(self, keys: Sequence[bytes]) -> None:
        """Book calls as sent; to be awaited before they go out. Where it raises they must not."""

    def settle(self, outcome_by_key: Mapping[bytes, Outcome], *, answered: bool) -> None:
        """Book what sent calls did cost.

        Args:
            outcome_by_key: What came of them.
            answered: Their answers are in the ledger; False: they brought none.
        """

    def close(self) -> None:
        """Give back what was not sent, and book as lost what was sent and never settled."""


class Payment(Protocol):
    """Who pays for one batch."""

    async def reserve(self, request_by_key: Mapping[bytes, Request]) -> Reservation:
        """Reserve the first of these calls, at least one.

        Raises:
            BudgetExhausted: None of them may go out.
        """

    def in_place(self, refusal: BudgetExhausted, *, anything: bool) -> Failed | None:
        """Return what stands for the calls that were refused; None where the batch ends there.

        Args:
            refusal: Why they may not go out.
            anything: Some requests of the batch have an outcome already.
        """


class PayableModel(LanguageModel, Protocol):
    """A LanguageModel that tells who pays of what must be paid for."""

    async def complete_paid(self, requests: Sequence[Request], payment: Payment) -> list[Outcome]:
        """Complete as LanguageModel does.

        Raises:
            BudgetExhausted: The payment refused a request. It has the outcomes of all requests
                before the first one that was refused.
        """


@dataclass(frozen=True)
class FreeReservation:
    """A Reservation that books nothing."""

    calls: int

    async def send(self, keys: Sequence[bytes]) -> None:
        """See Reservation.send."""

    def settle(self, outcome_by_key: Mapping[bytes, Outcome], *, answered: bool) -> None:
        """See Reservation.settle."""

    def close(self) -> None:
        """See Reservation.close."""


class FreePayment:
    """A Payment that refuses nothing."""

    async def reserve(self, request_by_key: Mapping[bytes, Request]) -> Reservation:
        """See Payment.reserve."""
        return FreeReservation(len(request_by_key))

    def in_place(self, refusal: BudgetExhausted, *, anything: bool) -> Failed | None:
        """See Payment.in_place."""
        return None
