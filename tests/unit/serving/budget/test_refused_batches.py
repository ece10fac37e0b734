"""A batch that the experiment's budget refuses in its middle: what stands before the refused
request comes along, and is the same when the search is repeated, whoever has paid for what in the
meantime.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from optimizer.budget.cost import Limits, PriceList
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import BudgetExhausted
from optimizer.types import Completion, Message, Outcome, Request, Sampling
from serving.budget.paid_model import PaidModel
from serving.ledger import Ledger
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from tests.contracts.paying import Share

ASKED = [Request((Message("user", f"{number}"),), Sampling(max_tokens=20)) for number in range(40)]


class Echo:
    name = "echo"

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        return [
            Completion(request.messages[0].content, prompt_tokens=10, completion_tokens=20)
            for request in requests
        ]


class Endings:
    """Remembers one refusal, as serving.budget does across runs."""

    def __init__(self) -> None:
        self.key, self.reason = b"", ""

    @property
    def ending(self) -> tuple[bytes, str] | None:
        return (self.key, self.reason) if self.key else None

    async def refused(self, key: bytes, reason: str) -> None:
        self.key, self.reason = key, reason


def texts(outcomes: list[Outcome]) -> list[str]:
    return [outcome.text for outcome in outcomes if isinstance(outcome, Completion)]


async def came(shared: LedgerCoordinator, endings: Endings, tokens: int) -> list[Outcome]:
    paying = Share(SharedBudget(Limits(tokens=tokens)))
    with pytest.raises(BudgetExhausted) as refused:
        await PaidModel(CachedModel(Echo(), shared, 4), paying, PriceList(), endings).complete(
            ASKED
        )
    return list(refused.value.answered)


async def test_what_came_before_the_refusal_is_told_and_the_same_again(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        shared, endings = LedgerCoordinator(ledger), Endings()
        await CachedModel(Echo(), shared).complete(
            [ASKED[number] for number in (0, 3, 20, 39)]
        )  # somebody has asked these before
        first = await came(shared, endings, 800)
        assert texts(first) == [f"{number}" for number in range(len(first))]
        assert 10 < len(first) < 39
        fresh = [
            outcome
            for outcome in first
            if isinstance(outcome, Completion) and not outcome.from_ledger
        ]
        assert 600 < 30 * len(fresh) <= 800
        again = await came(shared, endings, 800)
        assert texts(again) == texts(first)
        await CachedModel(Echo(), shared).complete(ASKED)  # somebody else pays for the rest
        assert texts(await came(shared, endings, 800)) == texts(first)


async def test_what_the_first_request_refuses_brings_nothing_along(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        assert await came(LedgerCoordinator(ledger), Endings(), 5) == []
