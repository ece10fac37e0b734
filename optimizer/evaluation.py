"""Prompts x examples -> answers and standings. Knows batches, not clients; a scorer, not a task; and never sees the test split.

Implements protocols.Evaluator. Everything that one call needs of the target model goes out as one batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from optimizer.candidate import Candidate, Standing
from optimizer.errors import BudgetExhausted
from optimizer.prompt import Prompt, adherence, adherence_by_step
from optimizer.protocols import LanguageModel, Scorer, SelectionRule
from optimizer.statistics import known_mean
from optimizer.tally import Tally
from optimizer.tasks.scorers import judge
from optimizer.types import Answer, Completion, Example, Outcome, Purpose, Request, Sampling


class Evaluation:
    """The target model on the dev split of one task, under one selection rule.

    The target answers at temperature 0 unless `sampling` says otherwise (ProTeGi, arXiv 2305.03495).
    """

    def __init__(
        self, target: LanguageModel, scorer: Scorer, dev: Sequence[Example], rule: SelectionRule, sampling: Sampling | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._target = target
        self._scorer = scorer
        self._dev = tuple(dev)
        self._rule = rule
        self._sampling = sampling or Sampling()
        self._tally = tally or Tally()

    async def answers(self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn") -> list[Answer]:
        """The target's answer to each (prompt, example), in order; one batch. What the target raises passes through."""
        if not work:
            return []
        requests = [Request(prompt.render(example.input), self._sampling, purpose=purpose) for prompt, example in work]
        try:
            return self._judged(work, await self._target.complete(requests), purpose)
        except BudgetExhausted as refusal:
            self._judged(work, refusal.answered, purpose)  # they were paid for, and are counted
            raise

    async def grade(self, prompt: Prompt, examples: Sequence[Example], purpose: Purpose = "test") -> list[Answer]:
        """One prompt on many examples: the final test, whose examples come from the caller."""
        return await self.answers([(prompt, example) for example in examples], purpose)

    async def select(self, candidates: Sequence[Candidate], keep: int, rng: Random) -> tuple[Standing, ...]:
        """Standings on the dev split, best first, the first `keep` of them kept. The first of candidates with one id competes."""
        arms = list({candidate.id: candidate for candidate in reversed(candidates)}.values())[::-1]
        if not arms:
            return ()
        contest = _Contest(self, arms, self._dev)
        order = await self._rule.select(len(arms), len(self._dev), keep, contest.measure, rng)
        return tuple(contest.standing(arm, kept=place < keep) for place, arm in enumerate(order))

    def _judged(self, work: Sequence[tuple[Prompt, Example]], outcomes: Sequence[Outcome], purpose: Purpose) -> list[Answer]:
        """Answers to the first of this work. A repeated outcome was counted when it came."""
        answers = [self._answer(example, outcome) for (_, example), outcome in zip(work, outcomes, strict=False)]
        came = [(outcome, answer) for outcome, answer in zip(outcomes, answers, strict=True) if not outcome.repeated]
        self._tally.failed("target", [outcome for outcome, _ in came])
        self._tally.judged(purpose, [answer.score.verdict for _, answer in came])
        return answers

    def _answer(self, example: Example, outcome: Outcome) -> Answer:
        text = outcome.text if isinstance(outcome, Completion) else ""
        return Answer(example, text, judge(outcome, example, self._scorer))


@dataclass(frozen=True)
class _Contest:
    """One selection: what was measured of each arm, in the order of the dev items."""

    evaluation: Evaluation
    arms: Sequence[Candidate]
    dev: Sequence[Example]
    answer_by_pair: dict[tuple[int, int], Answer] = field(default_factory=dict)

    async def measure(self, pairs: Sequence[tuple[int, int]]) -> list[float | None]:
        # Prompt-major: requests of one prompt stand together, so that an engine can share their prefix.
        ordered = sorted(pairs)
        work = [(self.arms[arm].prompt, self.dev[item]) for arm, item in ordered]
        answers = await self.evaluation.answers(work, "validate")
        self.answer_by_pair.update(zip(ordered, answers, strict=True))
        return [self.answer_by_pair[pair].score.value for pair in pairs]

    def standing(self, arm: int, kept: bool) -> Standing:
        answers = [self.answer_by_pair.get((arm, item)) for item in range(len(self.dev))]
        scores = tuple(answer.score.value if answer else None for answer in answers)
        responses = [answer.text for answer in answers if answer and answer.score.verdict not in ("missing", "refused")]
        candidate = self.arms[arm]
        accuracy = known_mean([answer.score.value for answer in answers if answer])
        return Standing(
            candidate, accuracy, sum(score is not None for score in scores), adherence(candidate.prompt, responses), kept,
            adherence_by_step(candidate.prompt, responses), scores)
