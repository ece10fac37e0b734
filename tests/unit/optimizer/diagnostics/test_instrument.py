"""The instrument itself: on models whose faults are set by a dial, the measures of reflection must
say what the dial says.

The optimizer model is the rulebook, in this process. The target is scripted: it guesses, or does a
part of the work.
"""

from random import Random

import pytest

from cluster.diagnosis.causes import procedure_of
from optimizer.candidate import Problem
from optimizer.counted_model import CountedModel
from optimizer.diagnostics.evidence import Feedback, collect, feedbacks_on, judged
from optimizer.diagnostics.reflection_bias import reflection_bias
from optimizer.diagnostics.reflection_validity import reflection_validity
from optimizer.evaluation.evaluator import Evaluation
from optimizer.graders.graders import grader_named
from optimizer.operators.asking import Asking
from optimizer.prompt import Prompt
from optimizer.scripted import ScriptedModel
from optimizer.selection import Full
from optimizer.tasks.generated import GENERATED, GeneratedTask
from optimizer.types import Example, Request, Sampling
from serving.engines.rulebook.engine import RulebookEngine
from tests.contracts.toy import chance

SEEDS = range(3)
ITEMS = 160


def examples(task: GeneratedTask, seed: int) -> tuple[Example, ...]:
    rng = Random(f"instrument {seed}")
    answer_by_question = {
        item.question(): item.answer for item in (task.generate(rng) for _ in range(ITEMS))
    }
    return tuple(
        Example(str(at), *pair)
        for at, pair in enumerate(
            (question, (answer,)) for question, answer in answer_by_question.items()
        )
    )


def guess(task: GeneratedTask, request: Request) -> str:
    """A weak target: it shows nothing of its work."""
    at = chance(request.messages[-1].content)
    return f"Answer: {task.answers[int(at * len(task.answers))] if task.answers else int(at * 20)}"


def careless(task: GeneratedTask, request: Request) -> str:
    """A target that leaves out the second step of the procedure, and concludes from the others; now
    and then it only guesses.
    """
    item = task.read(request.messages[-1].content)
    assert item is not None
    if chance(request.messages[-1].content) < 0.3:
        return guess(task, request)
    kinds = [kind for kind in task.kinds if kind != task.kinds[1]]
    lines = [f"Step {number}: {block}" for number, block in enumerate(item.work(kinds).values(), 1)]
    return "\n".join([*lines, f"Answer: {item.conclude(kinds)}"])


async def reflected(
    task: GeneratedTask, target: object, prior_bias: float, seed: int
) -> tuple[Feedback, ...]:
    """Judged feedbacks of the rulebook with this dial."""
    problem = Problem(task.description, Prompt("Let's think step by step."), examples(task, seed))
    model = ScriptedModel(lambda request: target(task, request))  # type: ignore[operator]
    evaluate = Evaluation(model, grader_named(task.scorer), (), Full())
    evidence = await collect(problem, evaluate, 24, 4, Random(seed))
    feedbacks = await feedbacks_on(
        evidence,
        problem,
        Asking(CountedModel(RulebookEngine(prior_bias)), Sampling(0.7), Random(seed)),
    )
    procedure = procedure_of(problem.train)
    assert procedure is not None
    assert procedure.task is task
    return await judged(feedbacks, evidence, procedure)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("navigate", guess),
        ("navigate", careless),
        ("object_counting", guess),
        ("object_counting", careless),
        ("web_of_lies", guess),
    ],
)
@pytest.mark.parametrize(("prior_bias", "expected"), [(0.9, "detected"), (0.0, "not detected")])
async def test_the_measures_of_reflection_read_the_dial(
    name: str, target: object, prior_bias: float, expected: str
) -> None:
    task = GENERATED[name]
    for seed in SEEDS:
        feedbacks = await reflected(task, target, prior_bias, seed)
        bias = reflection_bias(feedbacks, Random(seed))
        validity = reflection_validity(feedbacks, task.kinds, exact=True)
        assert (bias.verdict, validity.verdict) == (expected, expected), (
            bias.sentence,
            validity.sentence,
        )


async def test_half_a_dial_lies_between() -> None:
    feedbacks = await reflected(GENERATED["navigate"], guess, 0.5, 0)
    explained = reflection_bias(feedbacks, Random(0)).explained
    assert explained.low < 0.5 < explained.high
