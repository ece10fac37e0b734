"""A trial near the end of its budget: what it asks again is free, and a round that is cut is not
thrown away.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest

from cluster.config.budget import Allowed
from cluster.results.tables import candidates_table
from cluster.trial.plan import TrialPlan
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.budget.cost import Cost, Limits, PriceList
from optimizer.budget.shared_budget import SharedBudget
from optimizer.candidate import Candidate, Problem, Round
from optimizer.prompt import Prompt
from optimizer.protocols import Evaluator, LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.selection import Racing
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Outcome, Request, Sampling
from serving.budget.paid_model import PaidModel
from serving.ledger import Ledger
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from tests.contracts.paying import Share
from tests.contracts.trials import GOOD, OneByOne, run, target_of


class Telling:
    """The target, which says that each answer took so many tokens."""

    name = "target"

    def __init__(self, task: Task, tokens: int) -> None:
        self._model, self._tokens = target_of(task), tokens

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        return [
            replace(one, prompt_tokens=self._tokens - 10, completion_tokens=10)
            for one in await self._model.complete(requests)
        ]  # type: ignore[type-var]


async def test_what_a_trial_asks_again_is_free_and_counted_apart(
    plan: TrialPlan, task: Task
) -> None:
    """The baseline competes in every round, on the same dev items: it is asked once."""
    target = target_of(task)
    result = await run(plan, task, target)
    assert result.target_calls == target.calls
    assert result.repeats == 2 * 6 + 1
    assert (
        sum(count for counts in result.verdicts_by_purpose.values() for count in counts.values())
        == result.target_calls
    )
    assert TrialResult.from_json(result.to_json()).repeats == 13
    assert (
        TrialResult.from_json(
            {key: value for key, value in result.to_json().items() if key != "repeats"}
        ).repeats
        == 0
    )


async def test_a_search_that_finds_nothing_tests_the_seed_prompt_once(
    plan: TrialPlan, task: Task
) -> None:
    target = target_of(task)
    result = await Trial(
        replace(plan, strategy=OneByOne(0)), task, target, ScriptedModel(lambda _: GOOD)
    ).run()
    assert (target.calls, result.target_calls, result.repeats, result.test_items) == (
        16,
        16,
        10,
        10,
    )
    assert result.seed_prompt_test_marks == result.test_marks


async def test_a_trial_that_is_played_again_from_the_ledger_takes_the_same_course(
    plan: TrialPlan, task: Task
) -> None:
    first = await run(plan, task)
    known = target_of(task)

    class Replayed:
        name = known.name

        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            return [
                replace(outcome, from_ledger=True) for outcome in await known.complete(requests)
            ]  # type: ignore[type-var]

    again = await run(plan, task, Replayed())
    assert replace(again, ledger_hits=0, wall_s=0.0) == replace(first, wall_s=0.0)
    assert again.ledger_hits == again.target_calls
    for limit in (26, 30, 36):
        short = replace(plan, allowed=Allowed(target_calls=limit))
        first, again = await run(short, task), await run(short, task, Replayed())
        assert first.status == "budget"
        assert replace(again, ledger_hits=0, wall_s=0.0) == replace(first, wall_s=0.0)


@dataclass(frozen=True)
class AllAtOnce:
    """A search whose first round has three prompts; the second of them is good."""

    async def search(
        self, problem: Problem, optimizer: LanguageModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        seed = Candidate(problem.seed, "seed", 0)
        yield Round(
            0,
            await evaluate.select(
                [seed, *(Candidate(Prompt(text), "vary", 0, seed.id) for text in (GOOD, "Count."))],
                1,
                rng,
            ),
        )


async def test_a_first_round_that_the_budget_cuts_has_a_result_where_prompts_can_be_ranked(
    plan: TrialPlan,
) -> None:
    """Of 12 dev items the race looks at 10 first: then the good prompt is ahead; before that nobody
    knows.
    """
    task = load_task("object_counting", sizes=Sizes(4, 12, 10), seed=0)
    plan = replace(plan, strategy=AllAtOnce(), selection=Racing())
    for calls in range(36):
        result = await run(replace(plan, allowed=Allowed(target_calls=20 + calls)), task)
        if calls < 3:
            assert (result.status, result.error[:35]) == (
                "failed",
                "The budget ended in the first round",
            )
            continue
        assert result.status == (
            "budget" if calls < 32 else "finished"
        )  # the good one alone goes on after 30
        assert {
            standing.candidate.prompt.instruction for standing in result.rounds[0].standings
        } >= {GOOD, "Count."}
        assert result.best is not None
        assert (result.best.prompt.instruction == GOOD) == (calls >= 30), calls
        assert result.target_calls <= 20 + calls
        assert (
            sum(standing.items for standing in result.rounds[0].standings)
            == result.calls_by_purpose["validate"]
        )
        counted = sum(
            count for counts in result.verdicts_by_purpose.values() for count in counts.values()
        )
        assert counted == result.target_calls


async def test_near_a_limit_of_tokens_answers_that_came_count_too(plan: TrialPlan) -> None:
    task = load_task("object_counting", sizes=Sizes(4, 12, 10), seed=0)
    plan = replace(plan, strategy=AllAtOnce(), sampling=Sampling(max_tokens=64))
    cut = 0
    for tokens in range(9_000, 16_000, 1_000):
        result = await run(replace(plan, allowed=Allowed(tokens=tokens)), task, Telling(task, 50))
        if result.status == "failed":
            continue
        cut += result.status == "budget"
        items = {standing.items for standing in result.rounds[0].standings}
        assert len(items) == 1, "all prompts were measured on the same items"
        assert (
            sum(standing.items for standing in result.rounds[0].standings)
            == result.calls_by_purpose["validate"]
        )
    assert cut


class Endings:
    """Remembers one refusal, as serving.budget does across runs."""

    def __init__(self) -> None:
        self.key, self.reason = b"", ""

    @property
    def ending(self) -> tuple[bytes, str] | None:
        return (self.key, self.reason) if self.key else None

    async def refused(self, key: bytes, reason: str) -> None:
        self.key, self.reason = key, reason


@pytest.mark.parametrize(
    "limits",
    [
        Limits(tokens=33_500),
        Limits(tokens=36_000),
        Limits(target_calls=29),
        Limits(target_calls=36),
    ],
)
async def test_a_search_that_the_experiments_budget_cuts_has_the_same_tables_when_it_is_continued(
    plan: TrialPlan, task: Task, limits: Limits, tmp_path: Path
) -> None:
    """Also where somebody else has paid for the rest in the meantime."""
    plan = replace(plan, sampling=Sampling(max_tokens=64), selection=Racing(block_items=2))
    endings, cut = Endings(), False
    with Ledger(tmp_path / "ledger") as ledger:
        shared = LedgerCoordinator(ledger)

        async def found(allowed: Limits) -> TrialResult:
            shared_budget = SharedBudget(allowed)
            shared_budget.hold(Cost(target_calls=20, tokens=30_000))  # for the final test
            target = PaidModel(
                CachedModel(Telling(task, 340), shared, 4),
                Share(shared_budget),
                PriceList(),
                endings,
            )
            return await Trial(plan, task, target, ScriptedModel(lambda _: GOOD, "optimizer")).run()

        first = await found(limits)
        cut = first.rounds[-1].incomplete if first.rounds else False
        whole = await Trial(
            plan,
            task,
            CachedModel(target_of(task), shared),
            ScriptedModel(lambda _: GOOD, "optimizer"),
        ).run()
        again = await found(Limits(tokens=10_000_000))
    assert (first.status, whole.status) == ("budget", "finished")
    assert cut
    assert candidates_table([again]).equals(candidates_table([first]))
    tested = {
        "test_accuracy": None,
        "seed_prompt_test_accuracy": None,
        "wall_s": 0.0,
        "ledger_hits": 0,
    }
    assert again.rounds == first.rounds
    assert again.calls_by_purpose.get("validate") == first.calls_by_purpose.get("validate")
    assert replace(again, **tested).ending == replace(first, **tested).ending != ""  # type: ignore[arg-type]
