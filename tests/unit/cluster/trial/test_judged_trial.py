"""A trial whose answers a model grades: its calls are counted, cached, and inside every budget."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.config.budget import Allowed
from cluster.trial.budget import FinalTest, TrialBudget, price_list_of
from cluster.trial.guards import with_ledger
from cluster.trial.plan import TrialPlan
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.budget.cost import Cost, Limits, Role
from optimizer.graders.graders import GraderSpec
from optimizer.graders.judging.judge import tagged
from optimizer.protocols import LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.tasks.task import Task
from optimizer.types import Completion, Failed, Outcome, Request
from serving.budget import BudgetStore
from serving.ledger import Ledger
from serving.ledger.coordinator import LedgerCoordinator
from serving.settings import ModelSettings, parse_model
from serving.storage import open_folder
from tests.contracts.paying import RecordedShare
from tests.contracts.trials import Breaking, author, target_of

SPEC = GraderSpec(
    "label_model", {"labels": {"good": 1, "bad": 0}, "rubric": "Is it the target's number?"}
)
PRICES = {"prompt_per_million": 1.0, "completion_per_million": 2.0}


def judge_script(request: Request) -> Outcome:
    text = request.messages[1].content
    good = f"Answer: {tagged('target', text)}" in (tagged("answer", text) or "")
    reply = f"<reason>I looked.</reason><label>{'good' if good else 'bad'}</label>"
    return Completion(reply, prompt_tokens=100, completion_tokens=10)


@pytest.fixture
def judged(task: Task) -> Task:
    return replace(task, grader=SPEC)


@pytest.fixture
def plan(plan: TrialPlan) -> TrialPlan:
    priced = parse_model(
        {"kind": "openai", "model": "tiny", "base_url": "http://127.0.0.1:1/v1", "prices": PRICES}
    )
    judge = parse_model(
        {"kind": "openai", "model": "judge", "base_url": "http://127.0.0.1:1/v1", "prices": PRICES}
    )
    return replace(plan, target=priced, optimizer=priced, grader=judge)


def judge_model() -> ScriptedModel:
    return ScriptedModel(judge_script, "judge")


async def run(
    plan: TrialPlan,
    task: Task,
    judge: LanguageModel,
    target: LanguageModel | None = None,
    **more: Any,
) -> TrialResult:
    return await Trial(
        plan,
        task,
        target or target_of(task),
        more.pop("optimizer", author()),
        more.pop("context", None),
        judge,
    ).run()


async def test_every_call_of_the_judge_is_counted_by_its_purpose(
    plan: TrialPlan, judged: Task
) -> None:
    judge = judge_model()
    result = await run(plan, judged, judge)
    assert (result.status, result.error) == ("finished", "")
    assert (result.seed_prompt_test_accuracy, result.test_accuracy) == (0.0, 1.0)
    # 1 learn answer, 18 dev answers, 20 test answers; equal answers to one item are graded once
    assert result.target_calls == 39
    assert result.grader_calls == judge.calls
    assert result.calls_by_purpose["grade"] + result.calls_by_purpose["grade_test"] == judge.calls
    assert result.calls_by_purpose["grade_test"] == 20
    assert result.calls_by_purpose["propose"] == 2
    assert TrialResult.from_json(result.to_json()) == result
    assert {request.purpose for batch in judge.batches[:-1] for request in batch} == {"grade"}
    assert {request.purpose for request in judge.batches[-1]} == {"grade_test"}


async def test_the_grading_of_the_final_test_is_reserved_from_the_first_call(
    plan: TrialPlan, judged: Task
) -> None:
    for limit in range(20, 40):
        judge = judge_model()
        result = await run(replace(plan, allowed=Allowed(grader_calls=limit)), judged, judge)
        assert judge.calls <= limit
        assert result.grader_calls == judge.calls
        if result.status != "failed":
            assert result.test_items == 10
            assert result.calls_by_purpose["grade_test"] in (10, 20)  # 10 where nothing was better
    assert result.status == "finished"


async def test_a_budget_without_room_for_the_test_fails_in_one_sentence(
    plan: TrialPlan, judged: Task
) -> None:
    judge = judge_model()
    result = await run(replace(plan, allowed=Allowed(grader_calls=19)), judged, judge)
    assert result.status == "failed"
    assert "The final test needs 20 grader calls, but the budget has only 19" in result.error
    assert judge.calls == 0


@pytest.mark.parametrize("tokens", [100_000, 200_000, 300_000, 400_000, 500_000])
async def test_tokens_and_money_of_the_judge_are_in_the_trials_budget(
    plan: TrialPlan, judged: Task, tokens: int
) -> None:
    judge = judge_model()
    result = await run(replace(plan, allowed=Allowed(tokens=tokens)), judged, judge)
    spent = 110 * judge.calls
    assert spent <= tokens
    if result.status == "failed":
        assert "The final test may cost" in result.error
        assert judge.calls == 0
    else:
        assert result.test_items == 10
        assert result.money == pytest.approx(judge.calls * (100 + 2 * 10) / 1e6)


async def test_a_judge_that_does_not_answer_takes_nothing_from_a_prompt(
    plan: TrialPlan, judged: Task
) -> None:
    judge = ScriptedModel(lambda _: Failed("infrastructure", "The judge is down."), "judge")
    result = await run(plan, judged, judge)
    assert result.status == "failed"
    assert "could be graded (The judge is down)" in result.error
    assert {failure.model for failure in result.failures} == {"grader"}


async def test_some_gradings_that_fail_leave_their_items_missing(
    plan: TrialPlan, judged: Task
) -> None:
    def script(request: Request) -> Outcome:
        if request.purpose == "grade_test" and script.seen < 1:  # type: ignore[attr-defined]
            script.seen += 1  # type: ignore[attr-defined]
            return Failed("infrastructure", "once")
        return judge_script(request)

    script.seen = 0  # type: ignore[attr-defined]
    result = await run(plan, judged, ScriptedModel(script, "judge"))
    assert result.status == "finished"
    assert "-" in result.seed_prompt_test_marks + result.test_marks


class Killed(Exception):
    """The process is gone."""


class Run:
    """A run of the trial with a ledger and a budget in a folder, as a worker has them."""

    def __init__(self, folder: Path, plan: TrialPlan, task: Task, limits: Limits) -> None:
        self.plan, self.task = plan, task
        self.ledger = LedgerCoordinator(Ledger(folder / "ledger"))
        half = FinalTest.of(task, plan.sampling, plan.target).cost(
            task.seed_prompt,
            {role: price_list_of(model, role) for role, model in plan.models.items()},
        )
        self.store = BudgetStore(open_folder(folder), limits, {"t": half * 2})
        self.share = RecordedShare(self.store, "t")

    def behind(self, client: LanguageModel, role: Role) -> LanguageModel:
        model: ModelSettings = self.plan.models[role]
        return with_ledger(client, model, role, self.ledger, self.share)

    async def trial(
        self, target: LanguageModel, judge: LanguageModel, batches: int | None = None
    ) -> TrialResult:
        """Run it; the process dies before the judge's batch after these."""
        grader = self.behind(judge, "grader")
        result = await run(
            self.plan,
            self.task,
            grader if batches is None else Breaking(grader, batches, Killed),
            self.behind(target, "target"),
            optimizer=self.behind(author(), "optimizer"),
        )
        await self.store.close("t", result.status != "failed")
        return result

    def close(self) -> None:
        self.ledger.close()


@pytest.mark.parametrize("batches", range(4))
async def test_a_run_that_is_killed_repeats_no_call_of_the_judge(
    tmp_path: Path, plan: TrialPlan, judged: Task, batches: int
) -> None:
    whole = judge_model()
    expected = await run(plan, judged, whole)
    seen: list[Any] = []

    def noted(request: Request) -> Outcome:
        seen.append((request.messages, request.sample))
        return judge_script(request)

    limits = Limits(grader_calls=1_000)
    first = Run(tmp_path, plan, judged, limits)
    with suppress(Killed):
        await first.trial(target_of(judged), ScriptedModel(noted, "judge"), batches)
    assert len(seen) < whole.calls
    first.close()
    second = Run(tmp_path, plan, judged, limits)
    result = await second.trial(target_of(judged), ScriptedModel(noted, "judge"))
    second.close()
    assert len(seen) == len(set(seen)) == whole.calls
    assert result.test_accuracy == expected.test_accuracy
    assert result.grader_calls == expected.grader_calls
    assert second.store.spent.grader_calls == whole.calls


@pytest.mark.parametrize("limit", [20, 21, 26, 27, 30, 32, 33, 38, 39])
async def test_the_experiments_budget_holds_to_the_call(
    tmp_path: Path, plan: TrialPlan, judged: Task, limit: int
) -> None:
    judge = judge_model()
    one = Run(tmp_path, plan, judged, Limits(grader_calls=limit))
    result = await one.trial(target_of(judged), judge)
    one.close()
    assert judge.calls <= limit
    assert one.store.spent.grader_calls == judge.calls
    if result.status in ("finished", "budget"):
        assert result.test_items == 10


def test_a_final_test_costs_what_its_grading_can_cost_at_most(
    plan: TrialPlan, judged: Task, task: Task
) -> None:
    prices: Mapping[Role, Any] = {
        role: price_list_of(model, role) for role, model in plan.models.items()
    }
    graded, plain = (
        FinalTest.of(one, plan.sampling, plan.target).cost(one.seed_prompt, prices)
        for one in (judged, task)
    )
    assert (graded.grader_calls, plain.grader_calls) == (10, 0)
    assert graded.target_calls == plain.target_calls == 10
    assert graded.money > plain.money
    three = replace(judged, grader=GraderSpec("label_model", {**SPEC.settings, "votes": 3}))
    assert (
        FinalTest.of(three, plan.sampling, plan.target).cost(three.seed_prompt, prices).grader_calls
        == 30
    )


async def test_a_trial_without_a_judge_has_no_role_of_one(plan: TrialPlan, task: Task) -> None:
    plan = replace(plan, grader=None)
    budget = TrialBudget(plan.allowed, plan.models, FinalTest.of(task, plan.sampling, plan.target))
    assert set(budget.usage) == {"target", "optimizer"}
    assert Cost(target_calls=1).to_json() == {
        "target_calls": 1,
        "optimizer_calls": 0,
        "tokens": 0,
        "money": 0.0,
    }
