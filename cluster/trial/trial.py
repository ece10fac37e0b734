"""Run one trial: the search under its budgets, then the one test on the locked split.

A trial knows no Ray and no file, and only its own point of a search space. Its models come with the
guards of the experiment; this module adds those of the trial (see cluster/trial/guards.py).
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from random import Random

from cluster.trial.budget import FinalTest, TrialBudget
from cluster.trial.evaluation import TrialEvaluation
from cluster.trial.failure_notes import CountedJudge, Noting
from cluster.trial.final_test import Tested, with_test
from cluster.trial.form_control import FormControl
from cluster.trial.guards import bound_graders, with_trial_budget
from cluster.trial.plan import Progress, TrialContext, TrialPlan, without_result
from cluster.trial.result import Status, TrialResult
from optimizer.budget.call_budget import Usage
from optimizer.budget.cost import Role
from optimizer.candidate import Candidate, Problem, Round
from optimizer.counted_model import CountedModel
from optimizer.errors import AccessError, BudgetExhausted, EndpointError, PromptrayError
from optimizer.evaluation.evaluator import rounds_of
from optimizer.outcome_counts import Asked, OutcomeCounts
from optimizer.protocols import LanguageModel
from optimizer.statistics import estimate
from optimizer.tasks.task import Task
from optimizer.types import Answer, Purpose


async def _go_on(_: Round) -> None:
    """Ignore the round."""


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
        judge: LanguageModel | None = None,
    ) -> None:
        """Take the models with the guards of the experiment; `judge`: the one that grades."""
        self.plan = plan
        self._context = context = context or TrialContext()
        self._task = task
        self._test_split = task.test.single_reading()
        self._trial_budget = TrialBudget(
            plan.allowed,
            plan.models,
            FinalTest.of(task, plan.sampling, plan.target),
            context.reserve,
        )
        self._outcome_counts = OutcomeCounts()
        self._lost = dict[Role, PromptrayError]()
        """The models that have failed for good, and their errors."""
        optimizer, target = (
            Noting(optimizer, "optimizer", self._lost),
            Noting(target, "target", self._lost),
        )
        self._optimizer = CountedModel(
            with_trial_budget(optimizer, "optimizer", self._trial_budget), self._outcome_counts
        )
        limited = with_trial_budget(target, "target", self._trial_budget)
        if judge is not None:
            counted = CountedJudge(Noting(judge, "grader", self._lost), self._outcome_counts)
            judge = with_trial_budget(counted, "grader", self._trial_budget)
        graders = bound_graders(
            task.grader, judge, plan.target.own_max_tokens or plan.sampling.max_tokens
        )
        self._problem: Problem = task.problem(graders.search)
        self._form = FormControl(plan.form_control, self._problem.seed, graders.search)
        self._evaluation = TrialEvaluation(
            self._trial_budget,
            self._form,
            self._problem,
            limited,
            graders.search,
            task.dev,
            plan.selection,
            plan.sampling,
            self._outcome_counts,
            limited,
            task.visible_row if plan.target.sees_examples else None,
            graders.test,
            graders.limit,
        )
        self._rounds: list[Round] = []
        self.tested: Tested | None = None
        """The answers of the final test that the result has; None before it, and without one."""
        self._started = time.monotonic()

    @property
    def progress(self) -> Progress:
        """Return how far the trial is."""
        best = self._rounds[-1].best if self._rounds else None
        usage = {role: budget.usage for role, budget in self._trial_budget.budgets.items()}
        target, all_models = usage["target"], sum(usage.values(), Usage())
        return Progress(
            self._rounds[-1].number if self._rounds else None,
            best.accuracy if best else None,
            target.calls,
            usage["optimizer"].calls,
            all_models.ledger_hits,
            target.prefix_hit_rate,
            all_models.repeats,
            self._context.pause(),
            usage["grader"].calls if "grader" in usage else 0,
        )

    @property
    def so_far(self) -> TrialResult:
        """Return the result as if the trial were stopped now: with its rounds, and not tested."""
        return self._result("pruned")

    @property
    def usage(self) -> dict[str, Mapping[Purpose, Usage]]:
        """Return what was spent on each of the two models, "target" and "optimizer"."""
        return self._trial_budget.usage

    async def run(self, on_round: Callable[[Round], Awaitable[None]] = _go_on) -> TrialResult:
        """Search, then test.

        Args:
            on_round: Awaited before the next round begins; what it raises ends the trial.

        Returns:
            The result. After an error of ours, or where the search had no outcome, its status is
                "failed", with the reason and what was found before; the best prompt so far is
                tested even then if only the optimizer model is gone.
        """
        try:
            await self._trial_budget.open(self._problem.seed)
            status = await self._search(on_round)
            if nothing := self._nothing_to_rank():
                return self._result("failed", error=f"{nothing}; raise budget in the settings.")
            if unanswered := self._unanswered():
                # A test would compare the baseline with itself.
                return self._result("failed", error=unanswered)
            tested = await self._test(self._rounds[-1].best.candidate)
            if unmeasured := self._unmeasured(tested):
                return self._result("failed", tested, unmeasured)
            return self._result(status, tested)
        except PromptrayError as problem:
            return self._result("failed", await self._tested_without_optimizer(), str(problem))

    async def _tested_without_optimizer(self) -> Tested | None:
        """Test the best prompt so far, where only the optimizer model has failed for good.

        None where that would show nothing (nothing better than the baseline was found), or where
        limits of the whole experiment or of its owner bound the trial: what is left of them is for
        the same trial when it is resumed, whose best prompt may be another.
        """
        lost = (
            isinstance(self._lost.get("optimizer"), EndpointError | AccessError)
            and not {"target", "grader"} & self._lost.keys()
        )
        best = self._rounds[-1].best.candidate if self._rounds else None
        if not lost or self._context.reserve or best is None or best.prompt == self._problem.seed:
            return None
        try:
            tested = await self._test(best)
        except PromptrayError:  # the reason why the trial has failed is known already
            return None
        return None if self._unmeasured(tested) else tested

    async def test_found(self, found: TrialResult) -> TrialResult:
        """Test the best prompt of this trial's search, which was cut elsewhere.

        Args:
            found: The result of the cut search, with a best prompt.

        Returns:
            `found` with the test and its cost added; unchanged where the test cannot be run.
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
        spent, self.tested = self.progress, tested
        return with_test(
            replace(
                found,
                target_calls=found.target_calls + spent.target_calls,
                grader_calls=found.grader_calls + spent.grader_calls,
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
        """Return why the search has no outcome: the budget ended before two prompts were measured.

        "" where it has one.
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
        """Return why nothing was searched, where no request to the optimizer model was answered.

        "" where one was, or where there was none.
        """
        replies = Counter[str]()
        for counts in self._outcome_counts.replies_by_attempt.values():
            replies.update(counts)
        if not replies["failed"] or replies["failed"] < replies.total():
            return ""
        return (
            f"Nothing was searched: none of the {replies['failed']} replies of the optimizer model "
            f"{self.plan.optimizer.label} came{self._main_reason('optimizer')}; once it answers, "
            "the same command continues where this one ended."
        )

    def _unmeasured(self, tested: Tested) -> str:
        """Return why there is nothing to compare: no answer came under one of the two prompts.

        "" where there are answers under both.
        """
        for name, answers in (("baseline", tested.before), ("best prompt", tested.after)):
            if all(answer.score.value is None for answer in answers):
                graded = any(answer.text for answer in answers)
                happened = "could be graded" if graded else "came"
                why = self._main_reason("grader" if graded else "target")
                return (
                    f"No verdict, as nothing could be measured: none of the {len(answers)} answers "
                    f"of the final test under the {name} {happened}{why}; once they do, the same "
                    "command continues where this one ended."
                )
        return ""

    def _main_reason(self, model: Asked) -> str:
        """Return the reason for which most of a model's calls failed, in brackets."""
        failed = [
            failure
            for failure in self._outcome_counts.failures
            if (failure.model, failure.kind) == (model, "infrastructure")
        ]
        most = max(failed, key=lambda failure: failure.calls, default=None)
        return f" ({most.reason.rstrip('.')})" if most else ""

    async def _test(self, best: Candidate) -> Tested:
        """Answer the test split with both prompts as one batch, then with the control arm.

        This is the only use of the test split, and its lock enforces that. Which prompts these are,
        and whether there is a control, was decided before it.
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
        dev = (self._evaluation.dev_answers(prompt) for prompt in prompts)
        return Tested(answers[: len(test)], answers[len(test) :], control, state, *dev)

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
            grader_calls=progress.grader_calls,
            ledger_hits=progress.ledger_hits,
            prefix_hit_rate=progress.prefix_hit_rate,
            repeats=progress.repeats,
            wall_s=time.monotonic() - self._started,
            calls_by_purpose=self._trial_budget.calls_by_purpose,
            parse_failures=sum(round.parse_failures for round in self._rounds),
            verdicts_by_purpose=self._outcome_counts.verdicts_by_purpose,
            replies_by_attempt=self._outcome_counts.replies_by_attempt,
            failures=self._outcome_counts.failures,
            refused_proposals=self._outcome_counts.refused_proposals,
        )
        self.tested = tested
        return with_test(found, tested) if tested else found
