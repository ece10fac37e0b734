"""The budget: all or nothing, by purpose, with the final test's calls kept aside."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.budget.call_budget import Budget, Budgeted, Usage
from optimizer.errors import BudgetExhausted, EndpointError, SettingsError
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Message, Outcome, Purpose, Request


def batch(count: int, purpose: Purpose = "learn") -> list[Request]:
    return [Request((Message("user", str(number)),), purpose=purpose) for number in range(count)]


class Breaking:
    """A model that raises what it is given."""

    name = "breaking"

    def __init__(self, problem: BaseException) -> None:
        self._problem = problem

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        raise self._problem


async def test_a_batch_that_does_not_fit_is_not_sent_at_all() -> None:
    model = ScriptedModel(lambda request: "ok")
    budgeted = Budgeted(model, Budget(10, "target"))
    await budgeted.complete(batch(8))
    with pytest.raises(
        BudgetExhausted, match="needs 3 target calls, but of the budget of 10 only 2 are left"
    ):
        await budgeted.complete(batch(3))
    assert model.calls == 8
    await budgeted.complete(batch(2))
    assert model.calls == 10


async def test_the_prefix_hit_rate_is_over_the_answers_that_tell_of_it() -> None:
    answers = iter(
        [
            Completion("a", prompt_tokens=100, cached_tokens=80),
            Completion("b", prompt_tokens=100, cached_tokens=0),
            Completion("c", prompt_tokens=999),
            Failed("infrastructure", "gone"),
            Completion("d", prompt_tokens=200, cached_tokens=160, from_ledger=True),
        ]
    )
    budget = Budget()
    assert budget.usage.prefix_hit_rate is None
    await Budgeted(ScriptedModel(lambda _: next(answers)), budget).complete(batch(5))
    assert budget.usage.prefix_hit_rate == 240 / 400
    assert budget.usage.prompt_tokens == 1199


async def test_calls_and_tokens_are_counted_by_purpose() -> None:
    def script(request: Request) -> Outcome:
        outcomes = {
            "learn": Completion("a", prompt_tokens=10, completion_tokens=2),
            "validate": Completion("a", prompt_tokens=10, completion_tokens=2, from_ledger=True),
            "propose": Failed("infrastructure", "gone"),
            "test": Completion("a"),
        }
        return outcomes[request.purpose]

    budget = Budget()
    await Budgeted(ScriptedModel(script), budget).complete(
        [*batch(2), *batch(3, "validate"), *batch(1, "propose")]
    )
    assert budget.usage_by_purpose == {
        "learn": Usage(2, prompt_tokens=20, completion_tokens=4),
        "validate": Usage(3, ledger_hits=3),
        "propose": Usage(1, failed=1),
    }
    assert budget.usage == Usage(6, 1, 3, 20, 4)
    assert budget.calls_by_purpose == {"learn": 2, "validate": 3, "propose": 1}
    assert budget.available("learn") is None


async def test_answers_from_the_ledger_use_the_budget_up_too() -> None:
    budget = Budget(2)
    budgeted = Budgeted(ScriptedModel(lambda request: Completion("a", from_ledger=True)), budget)
    await budgeted.complete(batch(2))
    with pytest.raises(BudgetExhausted):
        await budgeted.complete(batch(1))


async def test_calls_kept_for_the_test_are_for_the_test_only() -> None:
    budget = Budget(10)
    budget.reserve_for_test(6)
    budgeted = Budgeted(ScriptedModel(lambda request: "ok"), budget)
    assert (budget.available("validate"), budget.available("test")) == (4, 10)
    with pytest.raises(
        BudgetExhausted, match="only 4 are left and 6 are reserved for the final test"
    ):
        await budgeted.complete(batch(5, "validate"))
    await budgeted.complete(batch(4, "validate"))
    await budgeted.complete(batch(6, "test"))
    assert budget.available("test") == 0


async def test_a_test_larger_than_was_kept_takes_from_what_is_left() -> None:
    budget = Budget(10)
    budget.reserve_for_test(2)
    budgeted = Budgeted(ScriptedModel(lambda request: "ok"), budget)
    await budgeted.complete(batch(5, "test"))
    assert budget.available("learn") == 5


def test_more_cannot_be_kept_than_there_is() -> None:
    with pytest.raises(SettingsError, match="needs 11 target calls, but the budget has only 10"):
        Budget(10, "target").reserve_for_test(11)
    with pytest.raises(SettingsError, match="-1 target calls is negative"):
        Budget(-1, "target")


@pytest.mark.parametrize("problem", [EndpointError("gone"), asyncio.CancelledError()])
async def test_a_batch_that_raises_gives_its_reservation_back(problem: BaseException) -> None:
    budget = Budget(5)
    with pytest.raises(type(problem)):
        await Budgeted(Breaking(problem), budget).complete(batch(5))
    assert budget.available("learn") == 5
    assert budget.usage == Usage()


async def test_calls_in_flight_are_spoken_for() -> None:
    release = asyncio.Event()

    class Slow:
        name = "slow"

        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            await release.wait()
            return [Completion("ok") for _ in requests]

    budgeted = Budgeted(Slow(), Budget(5))
    first = asyncio.create_task(budgeted.complete(batch(4)))
    await asyncio.sleep(0)
    with pytest.raises(BudgetExhausted, match="only 1 are left"):
        await budgeted.complete(batch(2))
    release.set()
    assert len(await first) == 4


async def test_the_wrapper_keeps_the_name_and_the_order() -> None:
    budgeted = Budgeted(ScriptedModel(lambda request: request.messages[0].content, "m@1"), Budget())
    assert budgeted.name == "m@1"
    assert await budgeted.complete(batch(3)) == [Completion("0"), Completion("1"), Completion("2")]


PURPOSES: list[Purpose] = ["learn", "validate", "propose", "test"]


@given(
    st.integers(0, 60),
    st.integers(0, 20),
    st.lists(st.lists(st.sampled_from(PURPOSES), max_size=12), max_size=12),
)
async def test_the_books_agree_with_an_independent_count(
    limit: int, kept: int, batches: list[list[Purpose]]
) -> None:
    model, budget = ScriptedModel(lambda request: "ok"), Budget(limit)
    budget.reserve_for_test(min(kept, limit))
    for purposes in batches:
        requests = [Request((), purpose=purpose) for purpose in purposes]
        sent = model.calls
        try:
            await Budgeted(model, budget).complete(requests)
        except BudgetExhausted:
            assert model.calls == sent
    counted = Counter(request.purpose for asked in model.batches for request in asked)
    assert Counter(budget.calls_by_purpose) == counted
    assert model.calls == budget.usage.calls <= limit
    assert counted.total() - counted["test"] <= limit - min(kept, limit)
