"""A trial, with scripted models: what it reports, how it ends on its budget and on errors, and that
the test split is used once.
"""

import gc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import FunctionType, ModuleType

import pytest

from cluster.config.budget import Allowed
from cluster.results import answer_warnings
from cluster.trial.plan import TrialPlan, without_result
from cluster.trial.result import TrialResult, marks_of, scores_of
from cluster.trial.trial import Trial
from optimizer.candidate import Candidate, Problem, Round
from optimizer.errors import EndpointError
from optimizer.protocols import Evaluator, LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.tasks.loading import load_task
from optimizer.tasks.locked import ReadTwice
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Completion, Example, Failed, Outcome, Request
from serving.settings import parse_model
from tests.contracts.trials import GOOD, Breaking, locked_examples, run, target_of


async def test_the_best_prompt_is_tested_against_the_seed_prompt(
    plan: TrialPlan, task: Task
) -> None:
    result = await run(plan, task)
    assert result.status == "finished"
    assert (result.seed_prompt_test_accuracy, result.test_accuracy, result.dev_accuracy) == (
        0.0,
        1.0,
        1.0,
    )
    assert result.verdict == "better"
    assert result.test_low is not None
    assert 0 < result.test_low < 1
    assert result.best is not None
    assert result.best.operator == "vary"
    assert [round.number for round in result.rounds] == [0, 1, 2]


async def test_every_call_is_counted_by_its_purpose(plan: TrialPlan, task: Task) -> None:
    target = target_of(task)
    result = await run(plan, task, target)
    assert result.target_calls == target.calls == 1 + 3 * 6 + 2 * 10
    assert result.calls_by_purpose == {"learn": 1, "validate": 18, "test": 20, "propose": 2}
    assert result.optimizer_calls == 2
    assert result.parse_failures == 2


async def test_the_test_split_is_asked_once_as_one_batch_and_last(
    plan: TrialPlan, task: Task
) -> None:
    target = target_of(task)
    await run(plan, task, target)
    inputs = {example.input for example in locked_examples(task)}
    asked = [
        {request.messages[-1].content for request in batch} & inputs for batch in target.batches
    ]
    assert [bool(batch) for batch in asked] == [False] * (len(asked) - 1) + [True]
    assert asked[-1] == inputs


@pytest.mark.parametrize(("limit", "rounds"), [(26, 1), (33, 3), (38, 3)])
async def test_on_its_budget_the_best_so_far_is_still_tested(
    plan: TrialPlan, task: Task, limit: int, rounds: int
) -> None:
    result = await run(replace(plan, allowed=Allowed(target_calls=limit)), task)
    assert result.status == "budget"
    assert len(result.rounds) == rounds
    assert result.test_items == 10
    assert result.target_calls <= limit


async def test_the_optimizer_has_a_budget_too(plan: TrialPlan, task: Task) -> None:
    result = await run(replace(plan, allowed=Allowed(optimizer_calls=1)), task)
    assert (result.status, result.optimizer_calls, len(result.rounds)) == ("budget", 1, 2)


@pytest.mark.parametrize("limit", [10, 22])
async def test_a_budget_without_room_fails_in_one_sentence(
    plan: TrialPlan, task: Task, limit: int
) -> None:
    result = await run(replace(plan, allowed=Allowed(target_calls=limit)), task)
    assert result.status == "failed"
    assert "budget" in result.error
    assert result.test_accuracy is None


async def test_an_endpoint_that_breaks_leaves_what_was_found(plan: TrialPlan, task: Task) -> None:
    result = await run(
        plan, task, Breaking(target_of(task), 3, lambda: EndpointError("The line is cut."))
    )
    assert (result.status, result.error) == ("failed", "The line is cut.")
    assert len(result.rounds) == 2
    assert result.best is not None
    assert result.dev_accuracy == 1.0


async def test_a_mistake_of_ours_is_not_swallowed(plan: TrialPlan, task: Task) -> None:
    with pytest.raises(ZeroDivisionError):
        await run(plan, task, Breaking(target_of(task), 1, ZeroDivisionError))


async def test_progress_follows_the_rounds(plan: TrialPlan, task: Task) -> None:
    trial = Trial(plan, task, target_of(task), ScriptedModel(lambda _: GOOD))
    seen = [trial.progress]

    async def look(_: Round) -> None:
        seen.append(trial.progress)

    await trial.run(look)
    assert [progress.round for progress in seen] == [None, 0, 1, 2]
    assert [progress.dev_accuracy for progress in seen] == [None, 0.0, 1.0, 1.0]
    assert (seen[-1].target_calls, seen[-1].repeats) == (19, 13)


async def test_stopped_between_rounds_it_keeps_its_prompt_and_is_not_tested(
    plan: TrialPlan, task: Task
) -> None:
    target = target_of(task)
    trial = Trial(
        replace(plan, settings={"strategy": "one by one"}),
        task,
        target,
        ScriptedModel(lambda _: GOOD),
    )

    class Stop(Exception):
        pass

    async def stop_after_one(round: Round) -> None:
        if round.number == 1:
            raise Stop

    with pytest.raises(Stop):
        await trial.run(stop_after_one)
    result = trial.so_far
    assert (result.status, result.test_accuracy, result.dev_accuracy) == ("pruned", None, 1.0)
    assert result.settings == {"strategy": "one by one"}
    assert result.best is not None
    assert result.best.operator == "vary"
    assert result.target_calls == target.calls
    assert "test" not in result.calls_by_purpose
    assert TrialResult.from_json(result.to_json()) == result


@pytest.mark.parametrize(("lost", "verdict"), [(2, "better"), (3, "")])
async def test_a_test_too_many_of_whose_items_are_missing_has_no_verdict(
    plan: TrialPlan, task: Task, lost: int, verdict: str
) -> None:
    right, missing = target_of(task), {example.input for example in locked_examples(task)[:lost]}

    class Losing:
        name = "losing"

        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            return [
                Failed("infrastructure", "gone")
                if request.messages[-1].content in missing
                else outcome
                for request, outcome in zip(requests, await right.complete(requests), strict=True)
            ]

    result = await run(plan, task, Losing())
    assert (result.verdict, result.p_value is None, result.test_items) == (
        verdict,
        not verdict,
        10 - lost,
    )
    warned = [warning for warning in answer_warnings([result]) if "has no verdict" in warning]
    assert bool(warned) == (not verdict)


async def test_the_targets_prefix_hits_are_told_where_its_engine_tells(
    plan: TrialPlan, task: Task
) -> None:
    caching = ScriptedModel(lambda _: Completion("Answer: 1", prompt_tokens=10, cached_tokens=9))
    assert (await run(plan, task, caching)).prefix_hit_rate == 0.9
    assert (await run(plan, task)).prefix_hit_rate is None


async def test_samples_show_what_was_mended(plan: TrialPlan, task: Task) -> None:
    sample = (await run(plan, task)).samples[0]
    assert (sample.right_before, sample.right_after) == (False, True)
    assert sample.after == f"Answer: {sample.gold}"


async def test_answers_of_the_ledger_are_told_apart(plan: TrialPlan, task: Task) -> None:
    known = ScriptedModel(lambda _: Completion("Answer: 1", from_ledger=True))
    result = await run(plan, task, known)
    assert result.ledger_hits == result.target_calls > 0


async def test_a_result_survives_json(plan: TrialPlan, task: Task) -> None:
    result = await run(plan, task)
    assert TrialResult.from_json(result.to_json()) == result


def test_a_trial_that_never_reported_has_a_row(plan: TrialPlan) -> None:
    row = without_result(plan, "stopped")
    assert (row.trial, row.strategy, row.status, row.target) == (
        "t",
        "one by one",
        "stopped",
        "openai:tiny",
    )


def strings_within(*roots: object) -> set[str]:
    """Every text that can be reached from some objects through any attribute, container or closure,
    private ones too.
    """
    seen: set[int] = set()
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            found.add(one)
        elif isinstance(one, FunctionType):
            waiting += [cell.cell_contents for cell in one.__closure__ or ()] + [one.__defaults__]
        else:
            waiting += gc.get_referents(one)
    return found


@dataclass(frozen=True)
class Spy:
    """A search that looks for test items in all that it is given, and in every example of its
    process.
    """

    found: list[set[str]]

    async def search(
        self, problem: Problem, optimizer: LanguageModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        yield Round(0, await evaluate.select([Candidate(problem.seed, "seed", 0)], 1, rng))
        anywhere = {one.input for one in gc.get_objects() if isinstance(one, Example)}
        self.found.append(strings_within(problem, optimizer, evaluate, rng) | anywhere)


@pytest.mark.slow
async def test_a_search_that_looks_everywhere_finds_no_test_item(plan: TrialPlan) -> None:
    spy = Spy([])
    task = load_task("navigate", sizes=Sizes(4, 6, 10), seed=5)
    await run(replace(plan, strategy=spy), task, ScriptedModel(lambda _: "Answer: yes"))
    assert {example.input for example in task.train} < spy.found[0], (
        "the spy must find what is there"
    )
    assert {example.input for example in task.dev} < spy.found[0], (
        "dev items are private, not locked"
    )
    assert not {example.input for example in locked_examples(task)} & spy.found[0]


async def test_dev_items_have_no_public_name(plan: TrialPlan, task: Task) -> None:
    class Looking(Spy):
        async def search(
            self, problem: Problem, optimizer: LanguageModel, evaluate: Evaluator, rng: Random
        ) -> AsyncIterator[Round]:
            standings = await evaluate.select([Candidate(problem.seed, "seed", 0)], 1, rng)
            public = [getattr(evaluate, name) for name in dir(evaluate) if not name.startswith("_")]
            shown = [value for value in public if not callable(value)]
            self.found.append(strings_within(problem, standings, *shown))
            yield Round(0, standings)

    looking = Looking([])
    await run(replace(plan, strategy=looking), task)
    assert not {example.input for example in task.dev} & looking.found[0]


async def test_a_trial_tests_once(plan: TrialPlan, task: Task) -> None:
    trial = Trial(plan, task, target_of(task), ScriptedModel(lambda _: GOOD))
    await trial.run()
    with pytest.raises(ReadTwice):
        await trial.run()


async def test_the_marks_say_which_test_items_were_right(plan: TrialPlan, task: Task) -> None:
    result = await run(plan, task)
    assert (result.seed_prompt_test_marks, result.test_marks) == ("0" * 10, "1" * 10)
    assert list(result.test_scores) == [1.0] * 10
    assert result.p_value == pytest.approx(2 / 2**10)
    assert scores_of(marks_of([1.0, 0.0, None])) == [1.0, 0.0, None]


async def test_the_gap_is_told_and_train_accuracy_where_the_search_has_measured_it(
    plan: TrialPlan, task: Task
) -> None:
    result = await run(plan, task)
    assert result.gap == 0.0
    assert (result.train_accuracy, result.train_items) == (
        None,
        0,
    )  # this search tries only the baseline on training items
    unchanged = await run(plan, task, ScriptedModel(lambda _: "Answer: none"))
    assert (unchanged.train_accuracy, unchanged.train_items) == (0.0, 1)


async def test_what_fresh_calls_cost_is_told_where_all_models_have_prices(
    plan: TrialPlan, task: Task
) -> None:
    priced = parse_model(
        {
            "kind": "openai",
            "model": "tiny",
            "prices": {"prompt_per_million": 2, "completion_per_million": 10},
        }
    )
    target = ScriptedModel(
        lambda _: Completion("Answer: 1", prompt_tokens=100, completion_tokens=10)
    )
    paid = await run(replace(plan, target=priced, optimizer=priced), task, target)
    assert paid.money == pytest.approx(paid.target_calls * (100 * 2 + 10 * 10) / 1e6)
    assert (await run(replace(plan, target=priced), task, target)).money is None


@dataclass(frozen=True)
class Careless:
    """A strategy from elsewhere that writes prompts of its own, and knows nothing of kept parts."""

    async def search(
        self, problem: Problem, optimizer: object, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        texts = ("all new", "Be kind. Keep me. More.", "Keep me. Keep me.", "keep me.")
        new = [
            Candidate(replace(problem.seed, instruction=text), "own", 0, problem.seed.id)
            for text in texts
        ]
        seed = Candidate(problem.seed, "seed", 0)
        yield Round(0, await evaluate.select([seed, *new], 1, rng), "All.")


async def test_a_prompt_without_the_kept_parts_never_competes(plan: TrialPlan, task: Task) -> None:
    kept = replace(task, seed_instruction="Be kind. <keep>Keep me.</keep>").keeping(())
    target = target_of(kept)
    result = await run(replace(plan, strategy=Careless()), kept, target)
    assert {one.candidate.prompt.instruction for one in result.rounds[0].standings} == {
        "Be kind. Keep me.",
        "Be kind. Keep me. More.",
    }
    sent = [request.messages[0].content for batch in target.batches for request in batch]
    assert all(text.count("Keep me.") == 1 for text in sent)
