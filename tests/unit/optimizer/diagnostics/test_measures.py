"""Each measure on data whose truth is known, and all of them together on the toy task."""

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.candidate import Problem
from optimizer.counted_model import CountedModel
from optimizer.diagnostics import Depth, Diagnosis, NotMeasured, Subject, diagnose
from optimizer.diagnostics.ablations import CHANGES, SHORT, Ablations
from optimizer.diagnostics.causes import ByLocaliser
from optimizer.diagnostics.evidence import Feedback, collect, main_causes
from optimizer.diagnostics.one_step import ALL, OneStep, Refinement, permutation_p, summarised
from optimizer.diagnostics.predictability import predictability
from optimizer.diagnostics.reflection_bias import reflection_bias
from optimizer.diagnostics.reflection_validity import NO_STEP, reflection_validity
from optimizer.diagnostics.similarity import nearest, similarities
from optimizer.errors import EndpointError, SettingsError
from optimizer.operators.asking import Asking
from optimizer.prompt import Demonstration, Prompt, Step
from optimizer.protocols import LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.types import Failed, Request, Sampling
from tests.contracts import toy
from tests.contracts.examples import examples

TEXTS = st.lists(st.text(max_size=30), min_size=1, max_size=8)
STOCK = ("be careful", "check the work", "think again", "read it closely")
CAUSES = (
    "the carry is dropped in column two",
    "the list of numbers is cut short",
    "the sum is never written down",
)
SMALL = Depth(error_sets=8, errors_per_set=2, search=replace(SHORT, rounds=1, minibatch=6))
SUBJECT = Subject(toy.PROBLEM, toy.DEV, toy.examples(10, "held out"), None)


def feedbacks(given: Any, texts: Sequence[str], **more: Any) -> list[Feedback]:
    return [Feedback(given, at, text, **more) for at, text in enumerate(texts)]


async def diagnosed(
    optimizer: LanguageModel | None = None,
    target: LanguageModel | None = None,
    subject: Subject = SUBJECT,
    depth: Depth = SMALL,
) -> Diagnosis:
    evaluate = toy.InMemoryEvaluator(target or ScriptedModel(toy.target))
    return await diagnose(
        subject, CountedModel(optimizer or ScriptedModel(toy.author)), evaluate, depth, 3
    )


@given(TEXTS)
def test_similarity_is_symmetric_and_one_with_itself(texts: list[str]) -> None:
    found = similarities(texts)
    assert abs(found - found.T).max() < 1e-12
    assert found.min() >= 0
    assert abs(found.diagonal() - 1).max() < 1e-9


def test_what_shares_no_word_is_unlike_and_word_order_is_no_difference() -> None:
    found = similarities(["the moves are listed", "listed are the moves", "somebody else"])
    assert found[0, 1] == pytest.approx(1)
    assert found[0, 2] == 0
    assert nearest("list every move", ["list each move", "add numbers"]) == 0
    assert nearest("nothing at all", ["list each move", "add numbers"]) is None
    assert nearest("the same", ["the same", "the same"]) is None


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(0, 24), st.integers(0, 1000))
def test_the_explained_share_is_the_share_of_stock_feedbacks(stock: int, seed: int) -> None:
    rng = Random(seed)
    on_errors = [rng.choice(STOCK) for _ in range(stock)] + [
        rng.choice(CAUSES) for _ in range(24 - stock)
    ]
    found = reflection_bias(
        feedbacks("errors", on_errors) + feedbacks("nothing", STOCK * 6), Random(seed)
    )
    assert found.explained.mean == pytest.approx(stock / 24)
    assert found.explained.low <= stock / 24 <= found.explained.high
    if not 6 < stock < 18:
        assert found.verdict == ("detected" if stock >= 18 else "not detected")
    if 10 < stock < 14:
        assert found.verdict == "cannot be told"


def test_two_draws_from_one_source_are_told_apart_as_seldom_as_they_should_be() -> None:
    rng, low = Random(1), 0
    words = [f"word{number}" for number in range(40)]
    for _ in range(60):
        texts = [" ".join(rng.choices(words, k=6)) for _ in range(24)]
        found = reflection_bias(
            feedbacks("errors", texts[:12]) + feedbacks("nothing", texts[12:]), rng
        )
        low += found.p_nothing <= 0.05
    assert low <= 8  # 3 expected; more than 8 would come once in 200 times


def test_few_feedbacks_say_nothing() -> None:
    found = reflection_bias(feedbacks("errors", STOCK) + feedbacks("nothing", STOCK), Random(0))
    assert found.verdict == "cannot be told"
    assert found.sentence.startswith("Cannot be told")
    assert reflection_bias([], Random(0)).explained.mean is None


def test_validity_is_held_against_a_guess_and_against_feedback_without_examples() -> None:
    right = feedbacks("errors", ["x"] * 9, named="b", causes=("b",), valid=True)
    wrong = feedbacks("errors", ["x"] * 3, named="", causes=("a", "b"), valid=False)
    unseen = feedbacks("nothing", ["x"] * 2, named="a") + feedbacks("nothing", ["x"] * 2)
    found = reflection_validity([*right, *wrong, *unseen], ["a", "b", "c"], exact=True)
    assert found.valid.mean == 0.75
    assert found.chance == pytest.approx((9 / 3 + 3 * 2 / 3) / 12)
    assert found.unseen == pytest.approx(3 * 2 / 48)
    assert found.named == {"a": 0, "b": 9, "c": 0, NO_STEP: 3}
    assert found.true == {"a": 1.5, "b": 10.5, "c": 0.0, NO_STEP: 0.0}
    assert found.verdict == "not detected"
    assert reflection_validity(wrong * 4, ["a", "b", "c"], exact=True).verdict == "detected"
    assert reflection_validity(unseen, ["a"], exact=False).verdict == "cannot be told"


def test_the_cause_of_a_set_is_that_of_most_of_its_errors() -> None:
    assert main_causes(["a", "b", "b", None]) == ("b",)
    assert main_causes(["a", "b", "b", "a"]) == ("a", "b")
    assert main_causes(["a", "b", "c"]) == ("a", "b", "c")
    assert main_causes([None]) == ()


@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 99))
async def test_error_sets_are_disjoint_and_full(
    error_sets: int, errors_per_set: int, seed: int
) -> None:
    evaluate = toy.InMemoryEvaluator(ScriptedModel(toy.target))
    found = await collect(toy.PROBLEM, evaluate, error_sets, errors_per_set, Random(seed))
    shown = [answer.example.id for answers in found.error_sets for answer in answers]
    assert len(shown) == len(set(shown)) <= found.errors
    assert len({len(answers) for answers in found.error_sets}) == 1
    assert len(found.error_sets) == min(error_sets, found.errors)
    assert all(answer.score.value == 0 for answers in found.error_sets for answer in answers)
    assert all(answer.score.value == 1 for answers in found.right_sets for answer in answers)


def refinement(arm: Any, change: float) -> Refinement:
    return Refinement(
        arm=arm,
        instruction=f"{arm} {change}",
        change=change,
        improved=int(max(0, change) * 50),
        worsened=0,
        items=50,
        p_value=0.5,
    )


def test_a_reflection_pays_only_where_it_beats_blind_rewording() -> None:
    blind = [refinement("paraphrase", at / 100) for at in range(-4, 5)]
    pays = summarised(
        [*(refinement("valid reflection", 0.2 + at / 100) for at in range(9)), *blind],
        0.5,
        Random(0),
    )
    assert pays.verdict == "better"
    assert pays.by_arm[ALL].improve.mean == 1.0
    assert pays.sentence.startswith("Better than blind rewording")
    useless = summarised(
        [*(refinement("invalid reflection", at / 100) for at in range(-4, 5)), *blind],
        0.5,
        Random(0),
    )
    assert useless.verdict == "not distinguishable"
    worse = summarised(
        [*(refinement("invalid reflection", at / 100 - 0.2) for at in range(9)), *blind],
        0.5,
        Random(0),
    )
    assert worse.verdict == "worse"
    assert useless.by_arm["invalid reflection"].same.mean == pytest.approx(1 / 9)
    assert summarised(blind, 0.5, Random(0)).verdict == "cannot be told"


def test_the_permutation_test_knows_equal_from_different() -> None:
    assert permutation_p([0.0, 0.1, 0.0, 0.1], [0.1, 0.0, 0.1, 0.0], Random(0)) == 1.0
    assert (permutation_p([0.0] * 8, [0.3] * 8, Random(0)) or 1.0) < 0.01
    assert permutation_p([0.0], [0.3] * 8, Random(0)) is None


async def test_following_is_measured_by_step_told_and_shown() -> None:
    steps = (Step("List the numbers."), Step("Add them."), Step("Check."))
    prompt = Prompt("Add.", steps, (Demonstration("1 + 1?", "Step 1: done"),))
    found = await predictability(prompt, toy.DEV, toy.InMemoryEvaluator(ScriptedModel(toy.target)))
    assert [step.mean for step in found.told.followed_by_step] == [1.0, 1.0, 0.0]
    assert found.told.followed_all.mean == 0.0
    assert found.verdict == "does not follow"
    assert found.shown is not None
    assert found.shown.followed_all.mean == 1.0
    assert found.accuracy_followed == found.shown.accuracy
    assert found.accuracy_not_followed == found.told.accuracy


async def test_a_whole_diagnosis_is_plain_and_repeats() -> None:
    found = await diagnosed()
    assert found == await diagnosed()
    assert (
        json.loads(json.dumps(found.to_json()))["measures"]["reflection bias"]["sentence"]
        == found.bias.sentence
    )
    assert isinstance(found.ablations, Ablations)
    assert set(found.ablations.by_variant) == set(CHANGES)
    assert found.ablations.by_variant["without demonstrations"].accuracy.mean is not None
    assert all(
        not prompt.demonstrations
        for prompt in found.ablations.by_variant["without demonstrations"].prompts
    )
    assert isinstance(found.one_step, OneStep)
    assert {one.arm for one in found.one_step.refinements} >= {"paraphrase"}
    instructions = [one.instruction for one in found.one_step.refinements]
    assert len(instructions) == len(set(instructions))
    assert not any(toy.MARKER in feedback.text for feedback in found.feedbacks)


async def test_an_unknown_task_is_judged_by_the_localiser_and_says_so() -> None:
    found = await diagnosed()
    assert "as the localiser judges" in found.validity.sentence
    ask = Asking(CountedModel(ScriptedModel(toy.author)), Sampling(), Random(0))
    causes = ByLocaliser(toy.PROBLEM, (Step("Read the question."), Step("List the numbers.")), ask)
    evidence = await collect(
        toy.PROBLEM, toy.InMemoryEvaluator(ScriptedModel(toy.target)), 1, 2, Random(0)
    )
    assert set(await causes.of(evidence.error_sets[0])) == {"2. List the numbers."}
    assert causes.named("It never says: list the numbers first") == "2. List the numbers."
    assert causes.named("Zzz") is None


async def test_a_prompt_without_errors_has_nothing_to_reflect_on() -> None:
    found = await diagnosed(target=ScriptedModel(toy.flawless))
    assert isinstance(found.bias, NotMeasured)
    assert "no errors" in found.bias.sentence
    assert isinstance(found.ablations, Ablations)


@pytest.mark.parametrize(
    "reply", ["", "no tag", Failed("infrastructure", "gone"), Failed("refused", "no")]
)
async def test_an_optimizer_model_that_says_nothing_usable_leaves_open_verdicts(reply: Any) -> None:
    found = await diagnosed(ScriptedModel(lambda request: reply))
    verdicts = {name: finding.verdict for name, finding in found.finding_by_measure.items()}
    assert set(verdicts.values()) == {"cannot be told", "not distinguishable"}
    assert not found.feedbacks


async def test_a_target_that_never_answers_leaves_open_verdicts() -> None:
    found = await diagnosed(target=ScriptedModel(lambda request: Failed("infrastructure", "gone")))
    assert all(
        finding.verdict in ("cannot be told", "not distinguishable")
        for finding in found.finding_by_measure.values()
    )


@pytest.mark.parametrize("calls", [0, 5, 30, 60])
async def test_a_budget_ends_measures_and_not_the_diagnosis(calls: int) -> None:
    budget = Budget(calls, "optimizer")
    found = await diagnosed(Budgeted(ScriptedModel(toy.author), budget))
    assert budget.usage.calls <= calls
    if calls < 20:
        assert isinstance(found.bias, NotMeasured)
        assert "raise the budget" in found.bias.sentence
    assert isinstance(found.ablations, Ablations)
    assert found.ablations.unfinished >= (calls < 60)


async def test_what_breaks_is_not_swallowed() -> None:
    def broken(request: Request) -> str:
        raise EndpointError("The model is gone.")

    with pytest.raises(EndpointError):
        await diagnosed(ScriptedModel(broken))


async def test_an_empty_seed_prompt_has_nothing_to_edit() -> None:
    problem = Problem(toy.PROBLEM.description, Prompt(), toy.PROBLEM.train)
    found = await diagnosed(subject=replace(SUBJECT, problem=problem))
    assert isinstance(found.one_step, NotMeasured)


def test_an_impossible_depth_is_refused() -> None:
    with pytest.raises(SettingsError, match="error_sets"):
        Depth(error_sets=0)
