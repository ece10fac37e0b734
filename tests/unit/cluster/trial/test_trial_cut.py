"""A trial whose search was cut: where the best prompt so far is tested all the same, and where it
is not.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.config.budget import Allowed
from cluster.trial.plan import TrialContext, TrialPlan
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.errors import AccessError, EndpointError, StorageError
from optimizer.protocols import LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.tasks.task import Task
from optimizer.types import Outcome, Request
from tests.contracts.trials import GOOD, Breaking, OneByOne, run, target_of


class Reserved:
    """What the experiment keeps for the trial's test: so its budget is bounded."""

    async def hold(self, cost: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    "error", [EndpointError("It is gone."), AccessError("The key was refused.")]
)
async def test_where_the_optimizer_model_is_gone_the_best_so_far_is_tested(
    plan: TrialPlan, task: Task, error: Exception
) -> None:
    optimizer = Breaking(ScriptedModel(lambda _: GOOD), 1, lambda: error)
    result = await Trial(plan, task, target_of(task), optimizer).run()
    assert (result.status, result.error, len(result.rounds)) == ("failed", str(error), 2)
    assert (result.seed_prompt_test_accuracy, result.test_accuracy, result.verdict) == (
        0.0,
        1.0,
        "better",
    )
    assert result.calls_by_purpose["test"] == 20


@pytest.mark.parametrize(
    ("error", "batches", "context"),
    [
        (StorageError("The ledger is full."), 1, None),  # then the test's answers could not be kept
        (EndpointError("It is gone."), 0, None),  # nothing better than the baseline was found
        (EndpointError("It is gone."), 1, TrialContext(reserve=Reserved())),
    ],
)  # a run that goes on needs all that is left
async def test_it_is_not_tested_where_that_says_nothing_or_takes_what_a_resumed_run_needs(
    plan: TrialPlan, task: Task, error: Exception, batches: int, context: TrialContext | None
) -> None:
    target = target_of(task)
    result = await Trial(
        plan, task, target, Breaking(ScriptedModel(lambda _: GOOD), batches, lambda: error), context
    ).run()
    assert (result.status, result.error, result.test_accuracy) == ("failed", str(error), None)
    assert "test" not in result.calls_by_purpose


async def cut_after_a_round(plan: TrialPlan, task: Task) -> TrialResult:
    """What is known of a trial that was cancelled then."""
    optimizer = Breaking(ScriptedModel(lambda _: GOOD), 1, lambda: ZeroDivisionError())
    trial = Trial(plan, task, target_of(task), optimizer)
    with pytest.raises(ZeroDivisionError):
        await trial.run()
    return replace(trial.so_far, status="cancelled")


async def test_what_a_cancelled_trial_has_found_is_tested_afterwards_as_its_end_would_have(
    plan: TrialPlan, task: Task
) -> None:
    plan = replace(plan, allowed=Allowed(target_calls=40))
    found, target = await cut_after_a_round(plan, task), target_of(task)
    result = await Trial(plan, task, target, ScriptedModel(lambda _: GOOD)).test_found(found)
    whole = await run(replace(plan, strategy=OneByOne(1)), task)
    same = (
        "test_accuracy",
        "test_low",
        "test_high",
        "verdict",
        "p_value",
        "test_marks",
        "seed_prompt_test_marks",
        "samples",
    )
    assert {name: getattr(result, name) for name in same} == {
        name: getattr(whole, name) for name in same
    }
    assert (result.status, result.rounds) == ("cancelled", found.rounds)
    assert target.calls == 30  # with the control, which nothing that was seen rules out
    assert (result.target_calls, result.calls_by_purpose["test"]) == (found.target_calls + 30, 30)
    assert sum(result.calls_by_purpose.values()) == result.target_calls + result.optimizer_calls
    assert TrialResult.from_json(result.to_json()) == result


async def test_a_late_test_that_cannot_be_had_leaves_what_was_found(
    plan: TrialPlan, task: Task
) -> None:
    found = await cut_after_a_round(plan, task)
    gone = Breaking(target_of(task), 0, lambda: EndpointError("It is gone."))
    assert await Trial(plan, task, gone, ScriptedModel(lambda _: GOOD)).test_found(found) == found


class GoneAtTheTest:
    """Answers until the final test."""

    name = "gone"

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        if any(request.purpose == "test" for request in requests):
            raise EndpointError("It is gone, too.")
        return await self._model.complete(requests)


async def test_where_both_models_are_gone_nothing_is_asked_for_a_test(
    plan: TrialPlan, task: Task
) -> None:
    target = GoneAtTheTest(target_of(task))
    result = await Trial(
        plan,
        task,
        target,
        Breaking(ScriptedModel(lambda _: GOOD), 1, lambda: EndpointError("It is gone.")),
    ).run()
    assert (result.status, result.error, result.test_accuracy) == ("failed", "It is gone.", None)
    assert result.best is not None
