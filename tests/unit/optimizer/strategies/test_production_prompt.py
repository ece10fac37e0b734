"""A prompt as companies have it, 8 KB of rules, under every strategy: it is edited and not replaced."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from optimizer.candidate import Problem, Round
from optimizer.counted_model import CountedModel
from optimizer.operators.new_prompt import sampling_for
from optimizer.outcome_counts import OutcomeCounts
from optimizer.protocols import Strategy
from optimizer.scripted import ScriptedModel
from optimizer.strategies import STRATEGIES
from optimizer.types import Request
from tests.contracts import kept, toy

TEXT = Path(kept.__file__).with_name("production_prompt.md").read_text("utf-8").rstrip()
NAMES = ("# Policies", "# Form of the answer", "There are six teams.")
PROBLEM = kept.kept_problem(TEXT, NAMES)
SMALL = {
    "iterative_ape": {"rounds": 2, "pool": 3, "beam": 2},
    "opro": {"rounds": 2, "samples": 3, "beam": 2},
    "apo": {"rounds": 2, "beam": 2, "minibatch": 12, "error_groups": 2, "paraphrases": 1},
    "apo_sum": {"rounds": 2, "beam": 2, "minibatch": 12, "error_groups": 2, "paraphrases": 1},
    "prompt_agent": {"rounds": 3},
    "abo": {"rounds": 2, "beam": 2, "minibatch": 12, "decompositions": 2},
    "hybrid": {"rounds": 2, "beam": 2, "minibatch": 12, "decompositions": 2, "proposals": 4},
}
STEPS = ("abo", "hybrid")


async def searched(
    name: str, model: ScriptedModel, problem: Problem = PROBLEM, counts: OutcomeCounts | None = None
) -> list[Round]:
    strategy: Strategy = STRATEGIES[name](**SMALL[name])
    evaluate = toy.InMemoryEvaluator(ScriptedModel(toy.target))
    search = strategy.search(problem, CountedModel(model, counts), evaluate, Random(0))
    return [latest async for latest in search]


def dutiful(request: Request) -> str:
    return kept.dutiful(request, PROBLEM)


def test_the_prompt_is_as_long_as_those_are() -> None:
    assert 8_000 < len(TEXT) < 9_000
    assert len(PROBLEM.keep) == 3
    assert set(SMALL) == set(STRATEGIES.table)


@pytest.mark.parametrize("name", SMALL)
async def test_sections_stay_and_edits_apply(name: str) -> None:
    counts = OutcomeCounts()
    rounds = await searched(name, ScriptedModel(dutiful), counts=counts)
    new = [one.candidate for one in rounds[-1].standings if one.candidate.operator != "seed"]
    assert new
    for candidate in new:
        assert kept.holds(candidate.prompt.text(), PROBLEM.keep)
        assert len(candidate.prompt.instruction) >= len(TEXT)
    if name in STEPS:
        assert all(candidate.prompt.instruction == TEXT for candidate in new)
        assert all(candidate.prompt.steps and candidate.prompt.closing for candidate in new)
        shown = new[0].prompt.text()
        assert shown.startswith(f"{TEXT}\n\nFollow these steps:\n1. ")
    else:
        assert all(candidate.prompt.instruction != TEXT for candidate in new)
    assert counts.refused_proposals == {}


@pytest.mark.parametrize("name", SMALL)
async def test_no_question_asks_to_write_the_prompt_out_again(name: str) -> None:
    model = ScriptedModel(dutiful)
    await searched(name, model)
    asked = [request for batch in model.batches for request in batch]
    operators = Counter(request.messages[0].content.partition("\n")[0] for request in asked)
    for request in asked:
        form = request.messages[0].content.rpartition("Reply in exactly this form")[2]
        assert "<prompt>" not in form, operators
        assert request.sampling.max_tokens == sampling_for(PROBLEM, 0, 1).max_tokens
        assert request.messages[0].content.count("# Teams") <= 1


@pytest.mark.parametrize("name", [name for name in SMALL if name not in STEPS])
async def test_a_refused_proposal_says_the_true_reason(name: str) -> None:
    def careless(request: Request) -> str:
        reply = toy.author(request)
        return f"<prompt>{TEXT[:300]}</prompt>" if "<prompt>" in reply else reply

    counts = OutcomeCounts()
    rounds = await searched(name, ScriptedModel(careless), counts=counts)
    assert {one.candidate.operator for one in rounds[-1].standings} == {"seed"}
    ((reason, times),) = counts.refused_proposals.items()
    assert reason.startswith("it leaves out or changes the fixed part 'There are six teams.'")
    assert times == sum(latest.parse_failures for latest in rounds) > 0


async def test_a_long_prompt_without_fixed_parts_is_edited_too() -> None:
    problem = replace(PROBLEM, keep=())
    for name in SMALL:
        model = ScriptedModel(lambda request: kept.dutiful(request, problem))
        rounds = await searched(name, model, problem)
        assert all(len(one.candidate.prompt.text()) >= len(TEXT) for one in rounds[-1].standings)


async def test_a_prompt_of_100_kilobytes_is_edited() -> None:
    lines = "\n".join(f"Rule {number}: never do thing {number}." for number in range(3_500))
    problem = kept.kept_problem(f"{lines}\n\n# Form\nOne line.", ("# Form",))
    assert len(problem.seed.instruction) > 100_000
    for name in ("apo", "opro", "abo"):
        model = ScriptedModel(lambda request: kept.dutiful(request, problem))
        rounds = await searched(name, model, problem)
        new = [one.candidate for one in rounds[-1].standings if one.candidate.operator != "seed"]
        assert new
        assert all(kept.holds(one.prompt.text(), problem.keep) for one in new)


async def test_the_default_one_liner_is_replaced_by_steps_as_ever() -> None:
    for name in STEPS:
        rounds = await searched(name, ScriptedModel(toy.author), toy.PROBLEM)
        new = [one.candidate.prompt for one in rounds[-1].standings if one.candidate.prompt.steps]
        assert new
        assert {(one.instruction, one.opening) for one in new} == {("Follow these steps:", "")}


async def test_numbered_steps_that_read_like_a_fixed_part_are_refused() -> None:
    problem = kept.kept_problem(
        "Do this:\n1. Read the question.\nBe brief.", ("1. Read the question.",)
    )
    counts = OutcomeCounts()
    rounds = await searched("abo", ScriptedModel(toy.author), problem, counts)  # its first step
    assert {one.candidate.operator for one in rounds[-1].standings} == {"seed"}
    assert list(counts.refused_proposals) == [
        "it has the fixed part '1. Read the question.' 2 times"
    ]


async def test_decompose_and_refine_are_told_that_the_policies_stay() -> None:
    model = ScriptedModel(dutiful)
    await searched("hybrid", model)
    asked = [request.messages[0].content for batch in model.batches for request in batch]
    for operator in ("decompose", "localise", "refine", "revise"):
        texts = [text for text in asked if text.startswith(f"Operator: {operator}\n")]
        assert texts
        assert all("stays as it is, word for word" in text for text in texts)
        assert all("## Personal data" in text for text in texts)
