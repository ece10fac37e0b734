"""The strategies with the real evaluation and every selection rule, on the toy task."""

from random import Random

import pytest

from optimizer.counted_model import CountedModel
from optimizer.evaluation.evaluator import Evaluation
from optimizer.graders.graders import grader_named
from optimizer.scripted import ScriptedModel
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from tests.contracts import toy
from tests.contracts.strategy_contract import check_lineage

FRESH = toy.examples(60, "fresh")


@pytest.mark.slow
@pytest.mark.parametrize("rule", SELECTION_RULES)
@pytest.mark.parametrize("name", STRATEGIES)
async def test_the_winner_is_better_than_the_seed_prompt_on_fresh_items(
    name: str, rule: str
) -> None:
    optimizer = ScriptedModel(toy.author)
    evaluation = Evaluation(
        ScriptedModel(toy.target), grader_named("number"), toy.DEV, SELECTION_RULES[rule]()
    )
    strategy = STRATEGIES[name](rounds=3)
    rounds = [
        latest
        async for latest in strategy.search(
            toy.PROBLEM, CountedModel(optimizer), evaluation, Random(0)
        )
    ]
    check_lineage(rounds, beam=name != "prompt_agent")
    before, after = [
        sum(answer.score.verdict == "right" for answer in await evaluation.grade(prompt, FRESH))
        for prompt in (toy.SEED, rounds[-1].best.candidate.prompt)
    ]
    assert after >= before + 20
