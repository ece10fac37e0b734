"""A selection that its budget cuts, at every possible number of calls: what was measured is kept,
and nobody is best by luck.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from optimizer.budget.answer_memory import Remembering
from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.budget.cost import Limits
from optimizer.budget.shared_budget import SharedBudget
from optimizer.candidate import Candidate, Round, Standing
from optimizer.errors import BudgetExhausted
from optimizer.evaluation.evaluator import CutSelection, Evaluation, rounds_of
from optimizer.graders.graders import grader_named
from optimizer.prompt import Prompt
from optimizer.protocols import SelectionRule
from optimizer.scripted import ScriptedModel
from optimizer.selection import SELECTION_RULES, Full, Racing
from optimizer.statistics import discordant, sign_test
from optimizer.types import Completion, Example, Outcome, Request

ITEMS = 24
DEV = [Example(f"dev/{number}", f"dev {number}", ("7",)) for number in range(ITEMS)]
PARENT = Candidate(Prompt("fair"), "seed", 0)


def child(text: str) -> Candidate:
    return Candidate(Prompt(text), "vary", 1, PARENT.id)


CHILDREN = [child(text) for text in ("bad", "lucky", "good", "equal")]


def target(request: Request) -> Completion:
    """`fair` is right on two items of three and `equal` too, `lucky` on the first three alone,
    `good` on all.
    """
    told, number = request.messages[0].content, int(request.messages[-1].content.split()[1])
    right = {
        "good": True,
        "lucky": number < 3,
        "fair": number % 3 > 0,
        "equal": number % 3 < 2,
    }.get(told, False)
    return Completion(f"Answer: {7 if right else 8}", prompt_tokens=20, completion_tokens=3)


class Search:
    """The evaluator of a trial that has measured the parent, and may ask so many calls more."""

    def __init__(
        self, rule: SelectionRule, calls: int | None, shared_budget: SharedBudget | None = None
    ) -> None:
        self.model = ScriptedModel(target)
        self.budget = Budget(None if calls is None else ITEMS + calls, "target")
        limited = Remembering(Budgeted(self.model, self.budget, shared_budget), self.budget)
        self.evaluate = Evaluation(limited, grader_named("number"), DEV, rule, limited=limited)

    async def selected(
        self, candidates: Sequence[Candidate], keep: int = 2
    ) -> tuple[tuple[Standing, ...], bool]:
        """The standings, and whether the selection was cut."""
        try:
            await self.evaluate.answers([(PARENT.prompt, example) for example in DEV], "validate")
            return await self.evaluate.select(candidates, keep, Random(1)), False
        except CutSelection as cut:
            return cut.standings, True
        except BudgetExhausted:
            return (), True


def instruction(standing: Standing) -> str:
    return standing.candidate.prompt.instruction


def deserves(challenger: Standing, incumbent: Standing, rule: SelectionRule) -> bool:
    """By the rule's own standards, told a second time: all items and the better mean, or its test
    on a block or more.
    """
    losses_of_parent, wins_of_parent, shared = discordant(incumbent.scores, challenger.scores)
    if challenger.items == incumbent.items == ITEMS:
        return (challenger.accuracy or 0) > (incumbent.accuracy or 0)
    alpha, least = (rule.alpha, rule.block_items) if isinstance(rule, Racing) else (0.1, 10)
    return shared >= least and sign_test(wins_of_parent, losses_of_parent) <= alpha


@pytest.mark.slow
@pytest.mark.parametrize("make", SELECTION_RULES.values())
async def test_at_every_number_of_calls_what_was_measured_stands_and_the_best_deserves_it(
    make: type[SelectionRule],
) -> None:
    rule = make()
    whole = Search(rule, None)
    uncut, was_cut = await whole.selected([PARENT, *CHILDREN])
    assert not was_cut
    cuts = 0
    for calls in range(len(CHILDREN) * ITEMS + 1):
        search = Search(rule, calls)
        standings, was_cut = await search.selected([PARENT, *CHILDREN])
        cuts += was_cut
        assert {instruction(one) for one in standings} == {"fair", "bad", "lucky", "good", "equal"}
        assert search.model.calls == search.budget.usage.calls <= ITEMS + calls
        assert (
            sum(one.items for one in standings if one.candidate != PARENT)
            == search.model.calls - ITEMS
        ), "none is thrown away"
        assert standings[0].items > 0
        parent = next(one for one in standings if one.candidate == PARENT)
        assert [one.incomplete for one in standings] == [
            was_cut and one.items < ITEMS for one in standings
        ]
        if was_cut:
            assert (parent.items, parent.incomplete) == (ITEMS, False), (
                "what is known of it is free"
            )
            assert standings[0] == parent or deserves(standings[0], parent, rule)
            asked = [one.items > 0 for one in standings]
            assert asked == sorted(asked, reverse=True), "what was never measured stands last"
            assert all(one.accuracy is None and not one.kept for one in standings if not one.items)
            assert Round.from_json(Round(1, standings, incomplete=True).to_json()) == Round(
                1, standings, incomplete=True
            )
        elif isinstance(rule, Full):
            assert standings == uncut
    assert cuts > 1


@pytest.mark.parametrize("make", SELECTION_RULES.values())
async def test_the_same_cut_comes_out_the_same(make: type[SelectionRule]) -> None:
    for calls in range(0, 97, 7):
        first, again = [await Search(make(), calls).selected([PARENT, *CHILDREN]) for _ in range(2)]
        assert first == again


async def test_full_measures_all_on_as_many_shared_items_as_the_budget_covers() -> None:
    standings, was_cut = await Search(Full(), 4 * 11 + 3).selected([PARENT, *CHILDREN])
    assert was_cut
    assert {instruction(one): one.items for one in standings} == {
        "fair": 24,
        "bad": 11,
        "lucky": 11,
        "good": 11,
        "equal": 11,
    }
    assert [instruction(one) for one in standings[:2]] == ["good", "fair"], (
        "11 of 11 against 7 of 11 is significant"
    )
    short, _ = await Search(Full(), 4 * 9).selected([PARENT, *CHILDREN])
    assert instruction(short[0]) == "fair", "9 items are too few"


async def test_a_race_spends_what_is_left_on_those_that_are_worth_it() -> None:
    standings, _ = await Search(Racing(), 4 * 10 + 24).selected([PARENT, *CHILDREN], keep=2)
    items = {instruction(one): one.items for one in standings}
    assert items == {"fair": 24, "good": 22, "equal": 22, "lucky": 10, "bad": 10}
    assert instruction(standings[0]) == "good"


async def test_a_prompt_that_was_lucky_on_three_items_is_not_best() -> None:
    standings, was_cut = await Search(Racing(), 3).selected([PARENT, child("lucky")])
    assert was_cut
    assert [(instruction(one), one.items, one.accuracy) for one in standings] == [
        ("fair", 24, 2 / 3),
        ("lucky", 3, 1.0),
    ]


async def test_near_a_limit_of_tokens_all_arms_stand_at_the_same_item() -> None:
    """Each call may take 700 tokens or so, and takes 23: the batches become smaller, and the limit
    is nearly reached.
    """
    for tokens in range(2_000, 12_000, 1_000):
        shared_budget = SharedBudget(Limits(tokens=tokens))
        search = Search(Full(), None, shared_budget)
        standings, was_cut = await search.selected([PARENT, *CHILDREN])
        if not standings:  # not even the parent
            continue
        items = {one.items for one in standings if one.candidate != PARENT}
        assert len(items) == 1
        assert was_cut == (items != {ITEMS})
        assert shared_budget.spent.tokens <= tokens
        if was_cut:
            assert tokens - shared_budget.spent.tokens < 4 * 750


class Refusing:
    """A model whose budget is not the trial's: it refuses after some calls, in the middle of a
    batch, with what came before.
    """

    name = "refusing"

    def __init__(self, calls: int) -> None:
        self._model, self._left = ScriptedModel(target), calls

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        came = await self._model.complete(requests[: self._left])
        self._left -= len(came)
        if len(came) < len(requests):
            refusal = BudgetExhausted("The budget.total is spent.")
            refusal.answered = tuple(came)
            raise refusal
        return came


@pytest.mark.parametrize("make", SELECTION_RULES.values())
async def test_an_experiments_budget_that_ends_inside_a_batch_loses_no_answer(
    make: type[SelectionRule],
) -> None:
    rule = make()
    for calls in range(0, len(CHILDREN) * ITEMS, 5):
        search, budget = Search(rule, None), Budget()
        limited = Remembering(Budgeted(Refusing(ITEMS + calls), budget), budget)
        search.evaluate = Evaluation(limited, grader_named("number"), DEV, rule, limited=limited)
        standings, was_cut = await search.selected([PARENT, *CHILDREN])
        parent = next(one for one in standings if one.candidate == PARENT)
        assert sum(one.items for one in standings if one != parent) == budget.usage.calls - ITEMS
        if was_cut:
            assert budget.usage.calls == ITEMS + calls
            assert standings[0] == parent or deserves(standings[0], parent, rule)


async def test_a_rule_that_knows_nothing_of_limits_is_closed_for_it() -> None:
    class OneByOne:
        async def select(
            self, arms: int, items: int, keep: int, measure: object, rng: Random
        ) -> list[int]:
            for arm in range(arms):
                await measure([(arm, item) for item in range(items)])  # type: ignore[operator]
            return list(range(arms))

    standings, was_cut = await Search(OneByOne(), 30).selected([PARENT, *CHILDREN])  # type: ignore[arg-type]
    assert was_cut
    assert [(instruction(one), one.items) for one in standings] == [
        ("fair", 24),
        ("bad", 24),
        ("lucky", 0),
        ("good", 0),
        ("equal", 0),
    ]


async def test_a_search_is_closed_with_the_round_that_was_cut() -> None:
    search = Search(Full(), 15)

    async def rounds():  # type: ignore[no-untyped-def]
        yield Round(0, await search.evaluate.select([PARENT], 1, Random(0)))
        yield Round(1, await search.evaluate.select([PARENT, child("good")], 1, Random(0)))

    found: list[Round] = []

    async def follow() -> None:
        async for round in rounds_of(rounds()):
            found.append(round)

    with pytest.raises(BudgetExhausted):
        await follow()
    assert [(round.number, round.incomplete) for round in found] == [(0, False), (1, True)]
    assert found[1].note == "The budget ended: its candidates were measured on 15 of 24 items."
    assert instruction(found[1].best) == "good"
    old = {key: value for key, value in found[0].to_json().items() if key != "incomplete"}
    assert Round.from_json(old) == found[0]
    assert replace(found[1], incomplete=False) != found[1]
