"""One trial: the search under its budgets, then the one test on the locked split.

Knows no Ray and no file, and of a search space only its own point.

The order of the guards around a model is memory -> budget -> ledger -> limiter -> client; this
module adds the outermost two.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from cluster.config.limits import Allowed
from cluster.trial.budget import FinalTest, Reserve, TrialBudget
from cluster.trial.failure_notes import Noting
from cluster.trial.final_test import Tested, with_test
from cluster.trial.form_control import FormControl
from cluster.trial.result import Status, TrialResult
from optimizer.budget.call_budget import Usage
from optimizer.budget.shared_budget import Role
from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.errors import AccessError, BudgetExhausted, EndpointError, PromptrayError
from optimizer.evaluation.evaluator import Evaluation, rounds_of
from optimizer.graders.graders import SCORERS
from optimizer.outcome_counts import Asked, CountedModel, OutcomeCounts
from optimizer.prompt import Prompt
from optimizer.protocols import LanguageModel, SelectionRule, Strategy
from optimizer.statistics import Estimate, estimate
from optimizer.tasks.task import Task
from optimizer.types import Answer, Example, Purpose, Sampling
from serving.settings import ModelSettings


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """All that makes a trial what it is, but its data.

    Small and picklable: it travels to a worker.
    """

    id: str
    task: str
    """The label in the experiment."""
    strategy: Strategy
    strategy_label: str
    selection: SelectionRule
    selection_label: str
    seed: int
    target: ModelSettings
    optimizer: ModelSettings
    sampling: Sampling
    allowed: Allowed = field(default_factory=Allowed)
    form_control: bool = True
    """Is the baseline with the answer line alone measured beside the two prompts, where form may
    explain a gain?
    """
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    """The point of the search space, where there is a search; it is in the other fields already."""


@dataclass(frozen=True)
class Progress:
    """How far a trial is."""

    round: int | None = None
    """The last finished round; None before the first."""
    dev_accuracy: float | None = None
    """Of the best candidate of that round."""
    target_calls: int = 0
    optimizer_calls: int = 0
    ledger_hits: int = 0
    prefix_hit_rate: float | None = None
    """Of the target; None where its engine does not tell."""
    repeats: int = 0
    """Requests that the trial could answer itself: they are no calls."""
    paused: str = ""
    """One sentence while a model's endpoint is down and waited for; "" while all answer."""


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """What a trial sees of the experiment around it."""

    reserve: Reserve | None = None
    """Where the experiment as a whole has limits: it keeps the trial's test affordable."""
    pause: Callable[[], str] = lambda: ""
    """What the trial's models wait for, as in Progress.paused."""


async def _go_on(_: Round) -> None:
    """Nobody looks at the rounds."""


class _Trying(Evaluation):
    """Remembers how prompts did on the training items on which the search tried them: what was paid
    for anyhow. Keeps aside what the final test of each prompt that comes to the dev split may cost,
    and its control arm once one is needed.
    """

    def __init__(self, trial_budget: TrialBudget, form: FormControl, *given: Any) -> None:
        super().__init__(*given)
        self._trial_budget = trial_budget
        self._form = form
        self._score_by_example: dict[str, dict[str, float | None]] = {}

    async def select(
        self, candidates: Sequence[Candidate], keep: int, rng: Random
    ) -> tuple[Standing, ...]:
        """As Evaluation.select."""
        await self._trial_budget.may_be_best([candidate.prompt for candidate in candidates])
        return await super().select(candidates, keep, rng)

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        """As Evaluation.answers."""
        answers = await super().answers(work, purpose)
        if purpose != "test":
            self._watch_form(work, answers)
        if purpose == "learn":
            for (prompt, example), answer in zip(work, answers, strict=True):
                self._score_by_example.setdefault(prompt.id, {})[example.id] = answer.score.value
        return answers

    def _watch_form(
        self, work: Sequence[tuple[Prompt, Example]], answers: Sequence[Answer]
    ) -> None:
        for (prompt, _), answer in zip(work, answers, strict=True):
            if self._form.look(prompt, [answer]) and self._form.prompt is not None:
                self._trial_budget.keep_for_control(self._form.prompt)

    def tried(self, prompt: Prompt) -> Estimate:
        """Its accuracy on those items."""
        return estimate(list(self._score_by_example.get(prompt.id, {}).values()))


class Trial:
    """A search in progress.

    `run` it once; `progress` may be read at any time, from the same event loop.
    """

    def __init__(
        self,
        plan: TrialPlan,
        task: Task,
        target: LanguageModel,
        optimizer: LanguageModel,
        context: TrialContext | None = None,
    ) -> None:
        self.plan = plan
        self._context = context = context or TrialContext()
        self._task = task
        self._test_split = task.test.single_reading()
        self._problem: Problem = task.problem()
        self._trial_budget = TrialBudget(
            plan.allowed,
            {"target": plan.target, "optimizer": plan.optimizer},
            FinalTest(self._test_split.items, self._test_split.longest_input_bytes, plan.sampling),
            context.reserve,
        )
        self._outcome_counts = OutcomeCounts()
        self._lost = dict[Role, PromptrayError]()
        """The models that have failed for good, and how."""
        optimizer, target = (
            Noting(optimizer, "optimizer", self._lost),
            Noting(target, "target", self._lost),
        )
        self._optimizer = CountedModel(
            self._trial_budget.guarded(optimizer, "optimizer"), self._outcome_counts
        )
        self._form = FormControl(plan.form_control, self._problem.seed, task.scorer)
        self._evaluation = _Trying(
            self._trial_budget,
            self._form,
            self._trial_budget.guarded(target, "target"),
            SCORERS[task.scorer],
            task.dev,
            plan.selection,
            plan.sampling,
            self._outcome_counts,
        )
        self._rounds: list[Round] = []
        self._started = time.monotonic()

    @property
    def progress(self) -> Progress:
        best = self._rounds[-1].best if self._rounds else None
        target, optimizer = (
            self._trial_budget.budgets["target"].usage,
            self._trial_budget.budgets["optimizer"].usage,
        )
        return Progress(
            self._rounds[-1].number if self._rounds else None,
            best.accuracy if best else None,
            target.calls,
            optimizer.calls,
            target.ledger_hits + optimizer.ledger_hits,
            target.prefix_hit_rate,
            target.repeats + optimizer.repeats,
            self._context.pause(),
        )

    @property
    def so_far(self) -> TrialResult:
        """The result if the trial were stopped now: it keeps its rounds, and is not tested."""
        return self._result("pruned")

    @property
    def usage(self) -> dict[str, Mapping[Purpose, Usage]]:
        """What was spent on each of the two models, "target" and "optimizer"."""
        return self._trial_budget.usage

    async def run(self, on_round: Callable[[Round], Awaitable[None]] = _go_on) -> TrialResult:
        """Search, then test.

        After one of our errors, or where nothing came of it, the result has status "failed" and its
        reason,
        and keeps what was found before; that is tested too where only the optimizer model is gone.

        `on_round` is awaited before the next round begins; what it raises ends the trial.
        """
        try:
            await self._trial_budget.open(self._problem.seed)
            status = await self._search(on_round)
            if nothing := self._nothing_to_rank():
                return self._result("failed", error=f"{nothing}; raise budget in the settings.")
            if unanswered := self._unanswered():
                return self._result(
                    "failed", error=unanswered
                )  # a test would compare the baseline with itself
            tested = await self._test(self._rounds[-1].best.candidate)
            if unmeasured := self._unmeasured(tested):
                return self._result("failed", tested, unmeasured)
            return self._result(status, tested)
        except PromptrayError as problem:
            return self._result("failed", await self._tested_without_optimizer(), str(problem))

    async def _tested_without_optimizer(self) -> Tested | None:
        """The test of the best prompt so far, where the optimizer model is gone for good and the
        target answers.

        None where that would say nothing (nothing better than the baseline was found), or where
        limits of the whole experiment or of its owner bound the trial: what is left of them is for
        the same trial when it is resumed, whose best prompt may be another.
        """
        lost = (
            isinstance(self._lost.get("optimizer"), EndpointError | AccessError)
            and "target" not in self._lost
        )
        best = self._rounds[-1].best.candidate if self._rounds else None
        if not lost or self._context.reserve or best is None or best.prompt == self._problem.seed:
            return None
        try:
            tested = await self._test(best)
        except PromptrayError:  # why the trial has failed is known already
            return None
        return None if self._unmeasured(tested) else tested

    async def test_found(self, found: TrialResult) -> TrialResult:
        """Test the best prompt of this trial's search, which was cut elsewhere; `found` with the
        test in it, and with what that has
        taken. It comes back as it is where the test cannot be had.
        """
        assert found.best is not None
        try:
            await self._trial_budget.open(self._problem.seed)
            await self._trial_budget.may_be_best([found.best.prompt])
            tested = await self._test(found.best)
        except PromptrayError:
            return found
        if self._unmeasured(tested):
            return found
        spent = self.progress
        return with_test(
            replace(
                found,
                target_calls=found.target_calls + spent.target_calls,
                ledger_hits=found.ledger_hits + spent.ledger_hits,
                calls_by_purpose={**found.calls_by_purpose, **self._trial_budget.calls_by_purpose},
                verdicts_by_purpose={
                    **found.verdicts_by_purpose,
                    **self._outcome_counts.verdicts_by_purpose,
                },
                failures=(*found.failures, *self._outcome_counts.failures),
            ),
            tested,
        )

    async def _search(self, on_round: Callable[[Round], Awaitable[None]]) -> Status:
        rng = Random(self.plan.seed)
        search = self.plan.strategy.search(self._problem, self._optimizer, self._evaluation, rng)
        try:
            async with aclosing(rounds_of(search)) as rounds:  # type: ignore[type-var]  # an async generator, by the protocol's contract
                async for round in rounds:
                    if round.incomplete:  # its strategy had no time to count them
                        known = sum(earlier.parse_failures for earlier in self._rounds)
                        round = replace(
                            round, parse_failures=max(0, self._outcome_counts.unreadable - known)
                        )
                    self._rounds.append(round)
                    await on_round(round)
        except BudgetExhausted:
            return "budget"
        return "finished"

    def _nothing_to_rank(self) -> str:
        """Why nothing came of the search, where the budget ended before two prompts were measured;
        else "".
        """
        if not self._rounds:
            return "The budget ended before the first round"
        first = self._rounds[0]
        if (
            first.incomplete
            and sum(standing.accuracy is not None for standing in first.standings) < 2
        ):
            return "The budget ended in the first round, before two prompts could be compared"
        return ""

    def _unanswered(self) -> str:
        """Why nothing was searched, where the optimizer model was asked and not one reply came;
        else "".
        """
        replies = Counter[str]()
        for counts in self._outcome_counts.replies_by_attempt.values():
            replies.update(counts)
        if not replies["failed"] or replies["failed"] < replies.total():
            return ""
        return (
            f"Nothing was searched: none of the {replies['failed']} replies of the optimizer model "
            f"{self.plan.optimizer.label} "
            f"came{self._told('optimizer')}; once it answers, the same command continues where "
            "this one ended."
        )

    def _unmeasured(self, tested: Tested) -> str:
        """Why there is nothing to compare, where not one answer of the final test under one of the
        two prompts came; else "".
        """
        for name, answers in (("baseline", tested.before), ("best prompt", tested.after)):
            if all(answer.score.value is None for answer in answers):
                return (
                    f"No verdict, as nothing could be measured: none of the {len(answers)} answers "
                    "of the final test under the "
                    f"{name} came{self._told('target')}; once they do, the same command continues "
                    "where this one ended."
                )
        return ""

    def _told(self, model: Asked) -> str:
        """The reason for which most of a model's calls failed, in brackets."""
        failed = [
            failure
            for failure in self._outcome_counts.failures
            if (failure.model, failure.kind) == (model, "infrastructure")
        ]
        most = max(failed, key=lambda failure: failure.calls, default=None)
        return f" ({most.reason.rstrip('.')})" if most else ""

    async def _test(self, best: Candidate) -> Tested:
        """Both prompts on the same items, as one batch, and then the control arm; this is the only
        use of the test split, and its lock sees to that. Which prompts these are, and whether there
        is a control, was decided before it.
        """
        test = self._test_split.read()
        prompts, state = (self._problem.seed, best.prompt), self._form.state(best.prompt)
        answers = await self._evaluation.answers(
            [(prompt, example) for prompt in prompts for example in test], "test"
        )
        control: Sequence[Answer] = ()
        came = any(answer.score.value is not None for answer in answers)
        if state == "measured" and self._form.prompt is not None and came:
            try:
                control = await self._evaluation.grade(self._form.prompt, test)
            except BudgetExhausted:
                state = "no budget"
        return Tested(answers[: len(test)], answers[len(test) :], control, state)

    def _result(self, status: Status, tested: Tested | None = None, error: str = "") -> TrialResult:
        progress = self.progress
        best = self._rounds[-1].best.candidate if self._rounds else None
        tried = self._evaluation.tried(best.prompt) if best else estimate(())
        found = replace(
            without_result(self.plan, status, error),
            scorer=self._task.scorer,
            data_hash=self._task.data_hash,
            seed_prompt=self._problem.seed,
            best=best,
            train_accuracy=tried.mean,
            train_items=tried.items,
            money=self._trial_budget.money,
            unmeasured_by_model=self._trial_budget.unmeasured_by_model,
            rounds=tuple(self._rounds),
            dev_accuracy=progress.dev_accuracy,
            target_calls=progress.target_calls,
            optimizer_calls=progress.optimizer_calls,
            ledger_hits=progress.ledger_hits,
            prefix_hit_rate=progress.prefix_hit_rate,
            repeats=progress.repeats,
            wall_s=time.monotonic() - self._started,
            calls_by_purpose=self._trial_budget.calls_by_purpose,
            parse_failures=sum(round.parse_failures for round in self._rounds),
            verdicts_by_purpose=self._outcome_counts.verdicts_by_purpose,
            replies_by_attempt=self._outcome_counts.replies_by_attempt,
            failures=self._outcome_counts.failures,
        )
        return with_test(found, tested) if tested else found


def without_result(plan: TrialPlan, status: Status, error: str = "") -> TrialResult:
    """What is known before a trial starts; the whole row of one that did not come to report."""
    return TrialResult(
        trial=plan.id,
        task=plan.task,
        strategy=plan.strategy_label,
        selection=plan.selection_label,
        seed=plan.seed,
        target=plan.target.label,
        optimizer=plan.optimizer.label,
        stand_in=plan.optimizer.stand_in,
        status=status,
        error=error,
        settings=plan.settings,
        max_tokens=plan.target.own_max_tokens or plan.sampling.max_tokens,
    )
