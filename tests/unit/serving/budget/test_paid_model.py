"""The experiment's budget in front of the ledger: what it pays for, and in which order it hears of
a call.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from optimizer.budget.cost import Cost
from optimizer.errors import BudgetExhausted
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Outcome, Purpose, Request
from serving.budget.paid_model import PaidModel
from serving.ledger import Ledger, Paid
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from tests.contracts.paid import asked


class Budget:
    """Pays for `calls` calls, and notes what it hears."""

    bounded = True

    def __init__(self, calls: int, noted: list[str]) -> None:
        self.calls, self.noted = calls, noted

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        if not self.calls:
            raise BudgetExhausted("It is spent.")
        taken = min(self.calls, len(costs))
        self.calls -= taken
        self.noted.append(f"reserve {taken} of {len(costs)}")
        return taken

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        self.noted.append(f"send {len(most_by_key)}")

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        self.noted.append(f"settle {len(cost_by_key)} {'answered' if answered else 'lost'}")

    def release(self, most: Cost, *, test: bool = False) -> None:
        self.noted.append(f"give back {most.calls}")


class NotingLedger(LedgerCoordinator):
    def __init__(self, folder: Path, noted: list[str]) -> None:
        super().__init__(Ledger(folder))
        self.noted = noted

    async def record(self, paid_by_key: Mapping[bytes, Paid]) -> list[Completion]:
        self.noted.append(f"record {len(paid_by_key)}")
        return await super().record(paid_by_key)


def requests(texts: str, purpose: Purpose = "learn") -> list[Request]:
    return [
        Request(one.messages, one.sampling, one.sample, purpose)
        for one in (asked(text) for text in texts)
    ]


def answer(request: Request) -> Outcome:
    text = request.messages[-1].content
    return Failed("infrastructure", "lost") if text == "!" else Completion(text)


async def test_a_call_is_held_then_sent_then_recorded_then_settled(tmp_path: Path) -> None:
    noted = list[str]()
    model = ScriptedModel(lambda request: noted.append("call") or answer(request))  # type: ignore[func-returns-value]
    paid = PaidModel(CachedModel(model, NotingLedger(tmp_path, noted)), Budget(9, noted))
    await paid.complete(requests("a"))
    assert noted == ["reserve 1 of 1", "send 1", "call", "record 1", "settle 1 answered"]


async def test_what_the_ledger_has_is_not_paid_for(tmp_path: Path) -> None:
    noted = list[str]()
    cached = CachedModel(ScriptedModel(answer), NotingLedger(tmp_path, noted))
    await cached.complete(requests("abc"))
    noted.clear()
    outcomes = await PaidModel(cached, Budget(1, noted)).complete(requests("abcd"))
    assert [one.text for one in outcomes if isinstance(one, Completion)] == list("abcd")
    assert noted == ["reserve 1 of 1", "send 1", "record 1", "settle 1 answered"]


async def test_a_call_without_an_answer_is_settled_as_lost_and_not_recorded(tmp_path: Path) -> None:
    noted = list[str]()
    cached = CachedModel(ScriptedModel(answer), NotingLedger(tmp_path, noted))
    await PaidModel(cached, Budget(9, noted)).complete(requests("!"))
    assert noted == ["reserve 1 of 1", "send 1", "settle 1 lost"]


async def test_unsent_reservations_are_released_and_sent_calls_are_lost(
    tmp_path: Path,
) -> None:
    noted = list[str]()

    def broken(request: Request) -> Outcome:
        raise RuntimeError("It broke.")

    cached = CachedModel(ScriptedModel(broken), NotingLedger(tmp_path, noted), chunk=1)
    with pytest.raises(RuntimeError):
        await PaidModel(cached, Budget(9, noted)).complete(requests("ab"))
    assert noted[0] == "reserve 2 of 2"
    sent = noted.count("send 1")
    assert ("give back 1" in noted, f"settle {sent} lost" in noted) == (sent == 1, True)


@pytest.mark.parametrize(("known", "of_test"), [("", "a"), ("d", "ad")])
async def test_a_test_that_the_budget_does_not_cover_has_what_can_be_had(
    known: str, of_test: str, tmp_path: Path
) -> None:
    cached = CachedModel(ScriptedModel(answer), NotingLedger(tmp_path, []))
    await cached.complete(requests(known))
    outcomes = await PaidModel(cached, Budget(1, [])).complete(requests("abcd", "test"))
    assert [one.text for one in outcomes if isinstance(one, Completion)] == list(of_test)
    assert {one.reason for one in outcomes if isinstance(one, Failed)} == {
        "The request was not sent: It is spent."
    }


async def test_a_search_that_the_budget_refuses_is_told_what_stands_before(tmp_path: Path) -> None:
    cached = CachedModel(ScriptedModel(answer), NotingLedger(tmp_path, []))
    await cached.complete(requests("bd"))
    with pytest.raises(BudgetExhausted) as refused:
        await PaidModel(cached, Budget(1, [])).complete(requests("abbcda"))
    told = [one for one in refused.value.answered if isinstance(one, Completion)]
    assert [(one.text, one.from_ledger) for one in told] == [
        ("a", False),
        ("b", True),
        ("b", True),
    ]
