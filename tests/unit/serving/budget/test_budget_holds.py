"""Many trials at once behind one ledger and one budget: what the endpoint sees never passes a
limit, of any trial or of all of them, and what is left at the end is less than a minibatch.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.budget.cost import Cost, Limits
from optimizer.errors import BudgetExhausted
from optimizer.types import Completion, Failed, Message, Outcome, Purpose, Request, Sampling
from serving.budget import BudgetStore
from serving.budget.paid_model import PaidModel
from serving.ledger import Ledger
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.storage import open_folder
from tests.contracts.examples import examples
from tests.contracts.paying import RecordedShare

TEST_ITEMS = 3


class Endpoint:
    """Counts every request that it sees."""

    name = "endpoint@1"

    def __init__(self, seed: int, fails: float) -> None:
        self._rng = Random(seed)
        self._fails = fails
        self.seen: Counter[str] = Counter()

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self.seen.update(request.messages[0].content for request in requests)
        for _ in range(self._rng.randrange(5)):
            await asyncio.sleep(0)
        failed = self._rng.random() < self._fails
        return [
            Failed("infrastructure", "lost") if failed else Completion("ok", False, 9, 3)
            for _ in requests
        ]


def batch(texts: Sequence[str], purpose: Purpose) -> list[Request]:
    return [
        Request((Message("user", text),), Sampling(max_tokens=20), purpose=purpose)
        for text in texts
    ]


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    own=st.integers(TEST_ITEMS, 60),
    total=st.integers(0, 150),
    trials=st.integers(1, 5),
    minibatch=st.integers(1, 16),
    common=st.floats(0, 1),
    fails=st.sampled_from([0, 0.2]),
    seed=st.integers(0, 999),
)
async def test_no_limit_is_passed_and_less_than_a_minibatch_is_left(
    own: int, total: int, trials: int, minibatch: int, common: float, fails: float, seed: int
) -> None:
    endpoint, rng = Endpoint(seed, fails), Random(seed)
    names = [str(number) for number in range(trials)]
    keeps = {name: Cost(TEST_ITEMS) for name in names}
    budgets = {name: Budget(own) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        ledger = LedgerCoordinator(Ledger(Path(folder) / "ledger"))
        shared_budget = BudgetStore(open_folder(folder), Limits(target_calls=total), keeps)
        room = total >= trials * TEST_ITEMS

        async def trial(name: str) -> None:
            budgets[name].reserve_for_test(TEST_ITEMS)
            model = Budgeted(
                PaidModel(CachedModel(endpoint, ledger, 4), RecordedShare(shared_budget, name)),
                budgets[name],
            )
            try:
                while True:
                    asked = [
                        f"common {rng.randrange(30)}"
                        if rng.random() < common / 2
                        else f"{name} {rng.random()}"
                        for _ in range(minibatch)
                    ]
                    await model.complete(batch(asked, "learn"))
            except BudgetExhausted:
                pass
            if room:
                tested = await model.complete(
                    batch([f"test {name} {item}" for item in range(TEST_ITEMS)], "test")
                )
                assert len(tested) == TEST_ITEMS
            await shared_budget.close(name, done=True)

        await asyncio.wait_for(asyncio.gather(*map(trial, names)), 30)
        again = BudgetStore(open_folder(folder), Limits(target_calls=total), keeps)
    assert endpoint.seen.total() <= total
    assert endpoint.seen.total() == shared_budget.spent.target_calls == again.spent.target_calls
    for name in names:
        assert budgets[name].usage.calls <= own
        if room:
            searched_out = own - budgets[name].usage.calls < minibatch
            assert searched_out or total - endpoint.seen.total() < minibatch, (
                "a trial may stop early only where all have no more"
            )
    if not fails:
        assert max(endpoint.seen.values(), default=1) == 1, "nothing is paid twice"
