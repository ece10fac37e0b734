"""Hybrid: reflection beside refinement, and a Pareto front instead of a beam, beyond the contract."""

import re
from dataclasses import replace

import pytest

from optimizer.behaviour.evidence import Evidence
from optimizer.candidate import Candidate, Standing
from optimizer.errors import SettingsError
from optimizer.prompt import Prompt
from optimizer.scripted import ScriptedModel
from optimizer.strategies.hybrid import Hybrid, on_the_front
from optimizer.types import Request
from tests.contracts import toy
from tests.contracts.strategy_contract import StrategyContract, candidates, run

SMALL = {
    "rounds": 3,
    "patience": 3,
    "beam": 3,
    "minibatch": 8,
    "decompositions": 3,
    "proposals": 6,
    "localised_errors": 3,
}


class TestHybrid(StrategyContract):
    make = Hybrid
    small = SMALL
    max_batches_per_round = 4
    wide = {
        "beam": 6,
        "decompositions": 12,
        "minibatch": 16,
        "proposals": 14,
        "localised_errors": 6,
    }


class TestReflectionAlone(StrategyContract):
    make = Hybrid
    small = SMALL | {"reflected": 1.0, "demonstrations": 0}
    max_batches_per_round = 2
    wide = {"beam": 6, "minibatch": 16, "proposals": 14}


def operators(optimizer: ScriptedModel) -> list[list[str]]:
    return [sorted({operator(request) for request in batch}) for batch in optimizer.batches]


def operator(request: Request) -> str:
    return request.messages[0].content.partition("\n")[0].removeprefix("Operator: ")


def wrong_in_training(request: Request) -> str:
    """The toy target model, but no training item is answered rightly: every prompt has errors to
    learn from.
    """
    return (
        toy.target(request)
        if toy.MARKER in request.messages[-1].content
        else "Step 1: done\nAnswer: unknown"
    )


async def test_errors_are_inspected_and_criticised_together_and_both_lead_to_new_steps() -> None:
    optimizer = ScriptedModel(toy.author)
    rounds = await run(Hybrid(**SMALL | {"rounds": 1}), optimizer, ScriptedModel(wrong_in_training))
    assert operators(optimizer) == [
        ["decompose"],
        ["demonstrate"],
        ["criticise", "localise"],
        ["refine", "revise"],
        ["demonstrate"],
    ]
    made = [one for one in candidates(rounds) if one.round == 1]
    assert {one.operator for one in made} == {"refine", "revise"}
    assert all(
        one.reflection.startswith(
            "It never says" if one.operator == "revise" else "Step 2 was skipped"
        )
        for one in made
    )


@pytest.mark.parametrize(("reflected", "operator"), [(0.0, "refine"), (1.0, "revise")])
async def test_the_share_of_reflection_is_a_setting(reflected: float, operator: str) -> None:
    rounds = await run(
        Hybrid(**SMALL | {"reflected": reflected}), target=ScriptedModel(wrong_in_training)
    )
    assert {one.operator for one in candidates(rounds) if one.round} == {operator}


async def test_a_round_has_as_many_proposals_as_are_asked_for_whatever_the_number_of_parents() -> (
    None
):
    optimizer = ScriptedModel(toy.author)
    await run(
        Hybrid(**SMALL | {"rounds": 1, "proposals": 7}), optimizer, ScriptedModel(wrong_in_training)
    )
    drafts = [
        request
        for batch in optimizer.batches
        for request in batch
        if operator(request) in ("refine", "revise")
    ]
    assert len(drafts) == 7


async def test_demonstrations_show_first_what_the_parent_got_wrong() -> None:
    def wrong_on_two(request: Request) -> str:
        question = request.messages[-1].content
        if toy.MARKER in question:
            return toy.target(request)
        return (
            "Answer: unknown"
            if re.match(r"How much is (8|13) ", question)
            else toy.flawless(request)
        )

    rounds = await run(
        Hybrid(**SMALL | {"rounds": 1, "minibatch": 24, "demonstrations": 3}),
        target=ScriptedModel(wrong_on_two),
    )
    made = [one.prompt for one in candidates(rounds) if one.round == 1]
    assert made
    for prompt in made:
        shown = [demonstration.input.split()[3] for demonstration in prompt.demonstrations]
        assert sorted(shown[:2]) == ["13", "8"]
        assert len(set(shown)) == 3


async def test_no_model_is_shown_scores_of_dev_items() -> None:
    optimizer = ScriptedModel(toy.author)
    await run(Hybrid(**SMALL), optimizer)
    shown = [request.messages[0].content for batch in optimizer.batches for request in batch]
    assert not any(re.search(r"[01]\.0, [01]\.0", text) for text in shown)


def standing(name: str, scores: tuple[float | None, ...], kept: bool = True) -> Standing:
    measured = [score for score in scores if score is not None]
    return Standing(
        Candidate(Prompt(name), "seed", 0),
        sum(measured) / len(measured),
        len(measured),
        None,
        kept,
        (),
        scores,
    )


def nothing() -> Evidence:
    return Evidence(toy.InMemoryEvaluator(ScriptedModel(toy.target)))


def test_of_those_kept_the_front_stays_kept_and_all_others_stand_behind() -> None:
    best, like_the_best, other, dropped = (
        standing("a", (1, 1, 1, 0)),
        standing("b", (1, 1, 0, 0)),
        standing("c", (0, 0, 0, 1)),
        standing("d", (1, None, None, None), kept=False),
    )
    assert on_the_front([best, like_the_best, other, dropped], nothing()) == (
        best,
        other,
        replace(like_the_best, kept=False),
        dropped,
    )


def test_the_best_stays_even_where_two_others_solve_all_that_it_does() -> None:
    best, left, right = (
        standing("a", (1, 1, 1, 1, 0, 0)),
        standing("b", (1, 1, 0, 0, 1, 0)),
        standing("c", (0, 0, 1, 1, 0, 1)),
    )
    assert [one.kept for one in on_the_front([best, left, right], nothing())] == [True, True, True]


@pytest.mark.parametrize(
    ("name", "value"),
    [("proposals", -1), ("errors_per_group", 0), ("reflected", 1.5), ("reflected", -0.1)],
)
def test_impossible_settings_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=name):
        Hybrid(**{name: value})
