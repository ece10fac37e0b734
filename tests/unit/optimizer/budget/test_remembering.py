"""What a trial has asked before is free: answers are remembered in front of its budget, failures
are not.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.budget.answer_memory import Remembering
from optimizer.budget.call_budget import Budget, Budgeted, Usage
from optimizer.budget.cost import Limits
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import BudgetExhausted
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Message, Outcome, Purpose, Request, Sampling


def ask(text: str, purpose: Purpose = "learn", sample: int = 0) -> Request:
    return Request((Message("user", text),), sample=sample, purpose=purpose)


def remembering(
    model: ScriptedModel, budget: Budget, shared_budget: SharedBudget | None = None
) -> Remembering:
    return Remembering(Budgeted(model, budget, shared_budget), budget)


def echo(request: Request) -> Completion:
    return Completion(
        f"{request.messages[0].content} {request.sample}", prompt_tokens=10, completion_tokens=5
    )


def texts(outcomes: Sequence[Outcome]) -> list[str]:
    return [
        outcome.text if isinstance(outcome, Completion) else outcome.reason for outcome in outcomes
    ]


async def test_what_was_answered_once_is_not_asked_again_whatever_it_is_for() -> None:
    model, budget = ScriptedModel(echo, "m@1"), Budget(3)
    memory = remembering(model, budget)
    assert memory.name == "m@1"
    await memory.complete([ask("a"), ask("b")])
    again = await memory.complete(
        [ask("b", "validate"), ask("c", "validate"), ask("a", "validate")]
    )
    assert texts(again) == ["b 0", "c 0", "a 0"]
    assert [outcome.repeated for outcome in again] == [True, False, True]
    assert model.calls == 3
    assert budget.usage_by_purpose == {
        "learn": Usage(2, prompt_tokens=20, completion_tokens=10),
        "validate": Usage(1, prompt_tokens=10, completion_tokens=5, repeats=2),
    }
    assert budget.available("validate") == 0


async def test_other_draws_and_other_limits_are_other_requests() -> None:
    model, budget = ScriptedModel(echo), Budget()
    memory = remembering(model, budget)
    hot = replace(ask("a"), sampling=Sampling(0.7, 512))
    requests = [
        ask("a"),
        ask("a", sample=1),
        hot,
        replace(hot, sampling=Sampling(0.7, 64)),
        replace(ask("a"), raw=True),
    ]
    await memory.complete(requests)
    assert model.calls == 5
    await memory.complete(requests)
    assert (model.calls, budget.usage.calls, budget.usage.repeats) == (5, 5, 5)


async def test_equal_requests_of_one_batch_are_asked_once() -> None:
    model, budget = ScriptedModel(echo), Budget(1)
    outcomes = await remembering(model, budget).complete([ask("a"), ask("a", "validate"), ask("a")])
    assert texts(outcomes) == ["a 0"] * 3
    assert [outcome.repeated for outcome in outcomes] == [False, True, True]
    assert (model.calls, budget.usage.calls, budget.usage.repeats) == (1, 1, 2)


@pytest.mark.parametrize("kind", ["infrastructure", "refused"])
async def test_a_failure_is_asked_again(kind: str) -> None:
    outcomes: list[Outcome] = [Failed(kind, "gone"), Completion("there")]  # type: ignore[arg-type]
    model, budget = ScriptedModel(lambda _: outcomes.pop(0)), Budget()
    memory = remembering(model, budget)
    assert texts(await memory.complete([ask("a"), ask("a")])) == ["gone", "gone"]
    assert texts(await memory.complete([ask("a")])) == ["there"]
    assert texts(await memory.complete([ask("a")])) == ["there"]
    assert (model.calls, budget.usage.calls, budget.usage.repeats) == (2, 2, 2)


async def test_known_answers_come_also_where_the_budget_is_empty() -> None:
    memory = remembering(ScriptedModel(echo), Budget(2))
    await memory.complete([ask("a"), ask("b")])
    assert texts(await memory.complete([ask("b"), ask("a")])) == ["b 0", "a 0"]
    with pytest.raises(BudgetExhausted):
        await memory.complete([ask("a"), ask("c")])


async def test_repeats_cost_no_tokens_and_no_money() -> None:
    shared_budget = SharedBudget(Limits(tokens=10_000))
    memory = remembering(ScriptedModel(echo), Budget(), shared_budget)
    await memory.complete([ask("a")])
    before = shared_budget.spent
    await memory.complete([ask("a")] * 50)
    assert shared_budget.spent == before


async def test_what_came_before_the_budget_ended_is_told_and_remembered() -> None:
    """A batch that tokens cut has answers to its first requests: they were paid, and must not be
    lost.
    """
    model, budget = ScriptedModel(echo), Budget()
    memory = remembering(
        model, budget, SharedBudget(Limits(tokens=2 * 700))
    )  # each call may take 600 tokens or so, and takes 15
    await memory.complete([ask("known")])
    batch = [ask("known"), *(ask(str(number)) for number in range(200))]
    with pytest.raises(BudgetExhausted) as refused:
        await memory.complete(batch)
    answered = refused.value.answered
    assert texts(answered)[:2] == ["known 0", "0 0"]
    assert model.calls == len(answered) < 201
    assert texts(await memory.complete(batch[: len(answered)])) == texts(answered)
    assert model.calls == len(answered)


async def test_it_says_how_many_of_some_requests_it_can_answer() -> None:
    memory = remembering(ScriptedModel(echo), Budget(3))
    await memory.complete([ask("a")])
    assert (
        memory.fitting([ask("a"), ask("b"), ask("b"), ask("c"), ask("a"), ask("d"), ask("a")]) == 5
    )
    assert memory.fitting([]) == 0
    assert remembering(ScriptedModel(echo), Budget()).fitting([ask("a"), ask("b")]) == 2
    bounded = remembering(ScriptedModel(echo), Budget(), SharedBudget(Limits(tokens=1300)))
    assert bounded.fitting([ask("a"), ask("b"), ask("c")]) == 2  # each at the most that it can cost


async def test_a_broken_batch_leaves_nothing_behind() -> None:
    class Broken:
        name = "broken"

        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            raise asyncio.CancelledError

    budget = Budget(2)
    memory = Remembering(Budgeted(Broken(), budget), budget)
    with pytest.raises(asyncio.CancelledError):
        await memory.complete([ask("a"), ask("a")])
    assert budget.usage == Usage()
    assert budget.available("learn") == 2


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=8))
async def test_every_request_is_either_a_call_or_a_repeat(batches: list[list[int]]) -> None:
    model, budget = ScriptedModel(echo), Budget()
    memory = remembering(model, budget)
    for batch in batches:
        outcomes = await memory.complete([ask(str(one)) for one in batch])
        assert texts(outcomes) == [f"{one} 0" for one in batch]
    asked = [one for batch in batches for one in batch]
    assert (budget.usage.calls, budget.usage.repeats) == (
        len(set(asked)),
        len(asked) - len(set(asked)),
    )
    assert model.calls == len(set(asked))
