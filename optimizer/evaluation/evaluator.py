"""Evaluation of prompts on examples: answers and standings.

Knows batches, not clients; a grader, not a task; and never sees the test split. Implements
protocols.Evaluator. Everything that one call needs of the target model goes out as one batch.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from random import Random
from typing import Any

from optimizer.candidate import Candidate, Round, Standing
from optimizer.errors import BudgetExhausted
from optimizer.evaluation.grading_limit import GradingLimit
from optimizer.evaluation.selection_run import CutSelection, PairwiseComparison
from optimizer.graders.base import grade_outcomes
from optimizer.graders.judging.judge import GradingRefused
from optimizer.outcome_counts import OutcomeCounts
from optimizer.prompt import Prompt
from optimizer.protocols import Grader, LanguageModel, Limited, SelectionRule
from optimizer.types import Answer, Completion, Example, Outcome, Purpose, Request, Sampling


class Evaluation:
    """The target model on the dev split of one task, under one selection rule.

    The target answers at temperature 0 unless `sampling` says otherwise (ProTeGi, arXiv
    2305.03495).
    """

    def __init__(
        self,
        target: LanguageModel,
        grader: Grader,
        dev: Sequence[Example],
        rule: SelectionRule,
        sampling: Sampling | None = None,
        outcome_counts: OutcomeCounts | None = None,
        limited: Limited | None = None,
        row_of: Callable[[Example], Mapping[str, Any]] | None = None,
        test_grader: Grader | None = None,
        grading_limit: GradingLimit | None = None,
    ) -> None:
        """Take all parts.

        Args:
            target: The target model.
            grader: Grades the answers of a search.
            dev: The dev split.
            rule: Selects.
            sampling: How the target draws its answers.
            outcome_counts: Where its answers are counted.
            limited: What the target's budget covers; None: it covers all.
            row_of: The row of an example, for a target that sees rows; None: it sees none.
            test_grader: Grades the answers of the final test; None: `grader`.
            grading_limit: What the budget of a grader that calls a model covers; None: all.
        """
        self._target = target
        self._limited = limited
        self._grader = grader
        self._test_grader = test_grader or grader
        self._grading_limit = grading_limit
        self._dev = tuple(dev)
        self._rule = rule
        self._sampling = sampling or Sampling()
        self._outcome_counts = outcome_counts or OutcomeCounts()
        self._row_of = row_of

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        """Return the target's answer to each (prompt, example), in order; one batch.

        Errors of the target model pass through.
        """
        if not work:
            return []
        requests = self._requests(work, purpose)
        try:
            outcomes = await self._target.complete(requests)
        except BudgetExhausted as refusal:
            # These answers were paid for, so they are counted although the batch was refused.
            await self._judged(work, refusal.answered, purpose)
            raise
        return await self._judged(work, outcomes, purpose)

    async def grade(
        self, prompt: Prompt, examples: Sequence[Example], purpose: Purpose = "test"
    ) -> list[Answer]:
        """Answer many examples, which come from the caller, with one prompt: the final test."""
        return await self.answers([(prompt, example) for example in examples], purpose)

    async def select(
        self, candidates: Sequence[Candidate], keep: int, rng: Random
    ) -> tuple[Standing, ...]:
        """Return the standings on the dev split, best first, the first `keep` of them kept.

        Of candidates with the same id the first competes.

        Raises:
            CutSelection: If the budget is exhausted during the selection.
        """
        # Reversed twice, so that of equal ids the first candidate stays, at its place.
        arms = list({candidate.id: candidate for candidate in reversed(candidates)}.values())[::-1]
        if not arms:
            return ()
        selection = PairwiseComparison(self, arms, self._dev, self._rule)
        reason = "The budget covers no more dev answers of this round; raise budget to search on."
        try:
            order = await self._rule.select(len(arms), len(self._dev), keep, selection, rng)
        except BudgetExhausted as refusal:
            reason, order = str(refusal), selection.by_mean()
        if selection.cut:
            # Answers that the trial has already are free, so they count in a cut selection, too.
            await selection.recall()
            order = selection.settled(order)
            cut = CutSelection(reason)
            cut.standings = tuple(
                selection.standing(
                    arm, kept=place < keep and (not place or selection.is_whole(arm))
                )
                for place, arm in enumerate(order)
            )
            raise cut
        return tuple(selection.standing(arm, kept=place < keep) for place, arm in enumerate(order))

    def fitting(self, work: Sequence[tuple[Prompt, Example]]) -> int:
        """Return how many of these dev answers, counted from the first, the budget covers now."""
        fitting = self._grading_fitting(work)
        if self._limited is None or self._limited.covers(fitting):
            return fitting
        return self._limited.fitting(self._requests(work[:fitting], "validate"))

    def _grading_fitting(self, work: Sequence[tuple[Prompt, Example]]) -> int:
        """Return of how many of these dev answers the budget covers the grading."""
        if self._grading_limit is None:
            return len(work)
        # Answers that are known were graded before: their grading costs nothing again.
        new = [place for place, known in enumerate(self.known(work)) if not known]
        covered = self._grading_limit.fitting([work[place][1] for place in new])
        return len(work) if covered == len(new) else new[covered]

    def known(self, work: Sequence[tuple[Prompt, Example]]) -> list[bool]:
        """Return for each of these dev answers whether it costs nothing."""
        if self._limited is None:
            return [False] * len(work)
        return self._limited.known(self._requests(work, "validate"))

    async def read(
        self,
        work: Sequence[tuple[Prompt, Example]],
        outcomes: Sequence[Outcome],
        purpose: Purpose = "validate",
    ) -> list[Answer]:
        """Grade the outcomes of the first items of this work as one batch, without counting.

        Raises:
            BudgetExhausted: A grader calls a model, and the budget does not cover it; `answered`
                has the outcomes that are graded, which can be read again at no cost.
        """
        pairs = [(outcome, example) for (_, example), outcome in zip(work, outcomes, strict=False)]
        grader = self._test_grader if purpose == "test" else self._grader
        try:
            scores = await grade_outcomes(grader, pairs)
        except GradingRefused as refusal:
            refusal.answered = tuple(outcomes[: _graded(outcomes, refusal.graded)])
            raise
        return [
            Answer(
                example,
                outcome.text if isinstance(outcome, Completion) else "",
                score,
                outcome.prompt_tokens,
                outcome.completion_tokens,
            )
            for (outcome, example), score in zip(pairs, scores, strict=True)
        ]

    def _requests(self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose) -> list[Request]:
        return [
            Request(
                prompt.render(example.input, example.history),
                self._sampling,
                purpose=purpose,
                row=self._row_of(example) if self._row_of else None,
            )
            for prompt, example in work
        ]

    async def _judged(
        self, work: Sequence[tuple[Prompt, Example]], outcomes: Sequence[Outcome], purpose: Purpose
    ) -> list[Answer]:
        """Score and count the outcomes of the first items of this work."""
        try:
            answers = await self.read(work, outcomes, purpose)
        except BudgetExhausted as refusal:
            answers = await self.read(work, refusal.answered, purpose)
            self._count(outcomes, answers, purpose)
            raise
        self._count(outcomes, answers, purpose)
        return answers

    def _count(
        self, outcomes: Sequence[Outcome], answers: Sequence[Answer], purpose: Purpose
    ) -> None:
        """Count the outcomes of the first of these calls that were graded."""
        came = [
            (outcome, answer)
            for outcome, answer in zip(outcomes, answers, strict=False)
            # A repeated outcome was counted when it came.
            if not outcome.repeated
        ]
        self._outcome_counts.failed("target", [outcome for outcome, _ in came])
        self._outcome_counts.judged(purpose, [answer.score.verdict for _, answer in came])


def _graded(outcomes: Sequence[Outcome], answers: int) -> int:
    """Return how many outcomes come before the answer that is not graded, given how many are."""
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, Completion):
            if not answers:
                return place
            answers -= 1
    return len(outcomes)


async def rounds_of(search: AsyncIterator[Round]) -> AsyncIterator[Round]:
    """Yield the rounds of a search, and the round in whose selection the budget was exhausted.

    Raises:
        BudgetExhausted: Behind the last round, if the budget was exhausted anywhere.
    """
    number = 0
    # Closed here: a generator left open would be finalized in another task.
    async with aclosing(search) as rounds:  # type: ignore[type-var]  # an async generator, by the protocol's contract
        try:
            async for round in rounds:
                number = round.number + 1
                yield round
        except CutSelection as cut:
            yield cut.round(number)
            raise
