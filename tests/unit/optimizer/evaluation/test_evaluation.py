"""The evaluator: one batch a call, standings from the dev split, failures that do not count."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.candidate import Candidate
from optimizer.errors import BudgetExhausted
from optimizer.evaluation.evaluator import Evaluation
from optimizer.graders.graders import grader_named
from optimizer.outcome_counts import OutcomeCounts
from optimizer.prompt import Prompt, Step
from optimizer.protocols import SelectionRule
from optimizer.scripted import ScriptedModel
from optimizer.selection import SELECTION_RULES, Full, Racing
from optimizer.types import Completion, Example, Failed, Outcome, Request, Sampling

DEV = [Example(f"dev/{number}", f"dev {number}", ("7",)) for number in range(20)]
GOOD, BAD = Prompt("good"), Prompt("bad")


def target(request: Request) -> str:
    """Right under a prompt that says good; half right under fair; else wrong."""
    told, asked = request.messages[0].content, request.messages[-1].content
    right = "good" in told or ("fair" in told and int(asked.split()[1]) % 2 == 0)
    return f"Answer: {7 if right else 8}"


def candidate(prompt: Prompt, operator: str = "seed") -> Candidate:
    return Candidate(prompt, operator, 0)


def evaluation(
    model: ScriptedModel, rule: SelectionRule | None = None, dev: Sequence[Example] = DEV
) -> Evaluation:
    return Evaluation(model, grader_named("number"), dev, rule or Full())


async def test_answers_come_in_order_and_from_one_batch() -> None:
    model = ScriptedModel(target)
    answers = await evaluation(model).answers([(BAD, DEV[0]), (GOOD, DEV[1]), (BAD, DEV[2])])
    assert [(answer.example, answer.score.verdict, answer.score.answer) for answer in answers] == [
        (DEV[0], "wrong", "8"),
        (DEV[1], "right", "7"),
        (DEV[2], "wrong", "8"),
    ]
    assert [len(batch) for batch in model.batches] == [3]
    assert {request.purpose for request in model.batches[0]} == {"learn"}


async def test_no_work_is_no_call() -> None:
    model = ScriptedModel(target)
    assert await evaluation(model).answers([]) == []
    assert await evaluation(model).select([], 3, Random(0)) == ()
    assert model.batches == []


async def test_standings_are_best_first_with_the_first_ones_kept() -> None:
    model = ScriptedModel(target)
    candidates = [candidate(BAD), candidate(Prompt("fair")), candidate(GOOD)]
    standings = await evaluation(model).select(candidates, 2, Random(0))
    assert [(s.candidate.prompt.instruction, s.accuracy, s.items, s.kept) for s in standings] == [
        ("good", 1.0, 20, True),
        ("fair", 0.5, 20, True),
        ("bad", 0.0, 20, False),
    ]


async def test_a_selection_is_one_prompt_major_batch() -> None:
    model = ScriptedModel(target)
    await evaluation(model).select([candidate(GOOD), candidate(BAD)], 1, Random(0))
    assert len(model.batches) == 1
    prompts = [request.messages[0].content for request in model.batches[0]]
    assert prompts == ["good"] * 20 + ["bad"] * 20
    assert {request.purpose for request in model.batches[0]} == {"validate"}


async def test_the_same_prompt_competes_once_and_the_first_one_stays() -> None:
    model = ScriptedModel(target)
    standings = await evaluation(model).select(
        [candidate(GOOD), candidate(BAD), candidate(GOOD, "edit")], 3, Random(0)
    )
    assert [(standing.candidate.operator, standing.candidate.prompt) for standing in standings] == [
        ("seed", GOOD),
        ("seed", BAD),
    ]
    assert model.calls == 40


async def test_infrastructure_failures_count_for_nothing_and_refusals_count_as_wrong() -> None:
    def script(request: Request) -> str | Outcome:
        number = int(request.messages[-1].content.split()[1])
        if number < 4:
            return Failed("infrastructure", "gone")
        return Failed("refused", "no") if number < 12 else "Answer: 7"

    (standing,) = await evaluation(ScriptedModel(script)).select([candidate(GOOD)], 1, Random(0))
    assert (standing.accuracy, standing.items) == (0.5, 16)


@pytest.mark.parametrize("rule", SELECTION_RULES.values())
async def test_a_candidate_too_many_of_whose_items_are_missing_is_unknown_and_stands_behind(
    rule: type[SelectionRule],
) -> None:
    def script(request: Request) -> str | Outcome:
        if (
            "fair" in request.messages[0].content
            and int(request.messages[-1].content.split()[1]) % 4 < 2
        ):
            return Failed("infrastructure", "gone")
        return target(request)

    child = Candidate(Prompt("fair"), "vary", 1, candidate(BAD).id)
    standings = await evaluation(ScriptedModel(script), rule()).select(
        [candidate(BAD), child], 1, Random(0)
    )
    assert [(one.candidate.prompt.instruction, one.accuracy, one.kept) for one in standings] == [
        ("bad", 0.0, True),
        ("fair", None, False),
    ]
    assert standings[1].items < len(standings[1].scores)


async def test_a_world_without_answers_gives_standings_without_accuracy() -> None:
    model = ScriptedModel(lambda request: Failed("infrastructure", "gone"))
    standings = await evaluation(model, Racing()).select(
        [candidate(GOOD), candidate(BAD)], 1, Random(0)
    )
    assert [(s.accuracy, s.items, s.adherence) for s in standings] == [(None, 0, None)] * 2


async def test_adherence_is_of_the_responses_that_there_are() -> None:
    steps = Prompt("", (Step("List."), Step("Count.", "number")))

    def script(request: Request) -> str | Outcome:
        number = int(request.messages[-1].content.split()[1])
        if number < 4:
            return Failed("refused", "no") if number < 2 else Failed("infrastructure", "gone")
        return "Step 1: a; b\nStep 2: 2\nAnswer: 7" if number % 2 else "Step 1: a; b\nAnswer: 7"

    (standing,) = await evaluation(ScriptedModel(script)).select([candidate(steps)], 1, Random(0))
    assert standing.adherence == pytest.approx(0.75)
    assert standing.adherence_by_step == pytest.approx((1.0, 0.5))


async def test_scores_stand_by_item_and_what_was_not_measured_is_none() -> None:
    def script(request: Request) -> str | Outcome:
        return (
            Failed("infrastructure", "gone")
            if request.messages[-1].content == "dev 2"
            else target(request)
        )

    candidates = [candidate(GOOD), candidate(Prompt("fair")), candidate(BAD)]
    standings = await evaluation(ScriptedModel(script), Racing(block_items=5)).select(
        candidates, 1, Random(0)
    )
    scores_by_prompt = {
        standing.candidate.prompt.instruction: standing.scores for standing in standings
    }
    assert scores_by_prompt["good"] == tuple(None if item == 2 else 1.0 for item in range(20))
    assert scores_by_prompt["bad"] == (0.0, 0.0, None, 0.0, 0.0, *[None] * 15)
    assert scores_by_prompt["fair"][:5] == (1.0, 0.0, None, 0.0, 1.0)


async def test_racing_measures_the_hopeless_on_few_items() -> None:
    model = ScriptedModel(target)
    candidates = [candidate(BAD), candidate(GOOD), candidate(Prompt("fair"))]
    standings = await evaluation(model, Racing(block_items=5)).select(candidates, 1, Random(0))
    items_by_prompt = {
        standing.candidate.prompt.instruction: standing.items for standing in standings
    }
    assert standings[0].candidate.prompt == GOOD
    assert items_by_prompt["bad"] == 5 < items_by_prompt["fair"] <= items_by_prompt["good"]


async def test_grading_takes_the_examples_from_the_caller() -> None:
    model = ScriptedModel(target)
    test = [Example("test/1", "test 1", ("7",)), Example("test/2", "test 2", ("8",))]
    answers = await evaluation(model).grade(GOOD, test)
    assert [answer.score.value for answer in answers] == [1.0, 0.0]
    assert {request.purpose for request in model.batches[0]} == {"test"}


async def test_sampling_reaches_the_target() -> None:
    model = ScriptedModel(target)
    sampling = Sampling(0.5, 99)
    await Evaluation(model, grader_named("number"), DEV, Full(), sampling).answers([(GOOD, DEV[0])])
    assert model.batches[0][0].sampling == sampling


async def test_an_exhausted_budget_passes_through() -> None:
    budgeted = Budgeted(ScriptedModel(target), Budget(30))
    with pytest.raises(BudgetExhausted):
        await Evaluation(budgeted, grader_named("number"), DEV, Full()).select(
            [candidate(GOOD), candidate(BAD)], 1, Random(0)
        )


async def test_truncated_answers_count_as_wrong() -> None:
    model = ScriptedModel(lambda request: Completion("Step 1: and so on and so", truncated=True))
    (standing,) = await evaluation(model).select([candidate(GOOD)], 1, Random(0))
    assert (standing.accuracy, standing.items) == (0.0, 20)


OUTCOME_BY_VERDICT: dict[str, Outcome] = {
    "right": Completion("Answer: 7"),
    "wrong": Completion("Answer: 8"),
    "unparsable": Completion(""),
    "truncated": Completion("Let me see: 7", truncated=True),
    "refused": Failed("refused", "I will not."),
    "missing": Failed("infrastructure", "The line is cut."),
}


@given(
    played=st.lists(
        st.tuples(
            st.sampled_from(["learn", "validate", "test"]),
            st.sampled_from(sorted(OUTCOME_BY_VERDICT)),
        )
    )
)
async def test_every_answer_is_counted_by_its_purpose_and_verdict(
    played: list[tuple[str, str]],
) -> None:
    queue = [OUTCOME_BY_VERDICT[verdict] for _, verdict in played]
    outcome_counts = OutcomeCounts()
    subject = Evaluation(
        ScriptedModel(lambda _: queue.pop(0)),
        grader_named("number"),
        DEV,
        Full(),
        outcome_counts=outcome_counts,
    )
    for purpose, _ in played:
        await subject.answers([(GOOD, DEV[0])], purpose)  # type: ignore[arg-type]
    counted = {
        (purpose, verdict): number
        for purpose, counts in outcome_counts.verdicts_by_purpose.items()
        for verdict, number in counts.items()
    }
    assert counted == Counter(played)


async def test_what_a_selection_measures_is_counted_too_and_a_complete_answer_counts_though_it_was_cut() -> (
    None
):
    outcome_counts = OutcomeCounts()
    model = ScriptedModel(lambda request: Completion(target(request), truncated=True))
    await Evaluation(
        model, grader_named("number"), DEV, Full(), outcome_counts=outcome_counts
    ).select([candidate(GOOD), candidate(BAD)], 1, Random(0))
    assert outcome_counts.verdicts_by_purpose == {"validate": {"right": 20, "wrong": 20}}
