"""One selection: what was measured of each arm, and who is ahead if the budget ends too early.

An arm is a candidate, a pair is an arm and a dev item. The first arm is the incumbent: the best
prompt so far. In a selection that is cut, another prompt replaces it only where both were measured
on all dev items and the other one has the better mean, as ever; or where the rule finds it better
on the items that both share. A rule that has no way to find that before its end borrows racing's
[ours].
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Protocol

from optimizer.candidate import Candidate, Round, Standing
from optimizer.errors import BudgetExhausted
from optimizer.prompt import Prompt, adherence, adherence_by_step
from optimizer.protocols import Deciding, DecidingOnScores, SelectionRule
from optimizer.statistics import discordant, is_binary, known_mean, leads, leads_on_scores
from optimizer.types import Answer, Example, Outcome, Purpose

Pair = tuple[int, int]
INCUMBENT = 0


class Answering(Protocol):
    """The part of `Evaluation` that a selection needs."""

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        """Return the target's answers, in order."""

    async def read(
        self, work: Sequence[tuple[Prompt, Example]], outcomes: Sequence[Outcome]
    ) -> list[Answer]:
        """Return the graded answers of these outcomes, without counting them."""

    def fitting(self, work: Sequence[tuple[Prompt, Example]]) -> int:
        """Return how many of these answers, counted from the first, the budget covers."""

    def known(self, work: Sequence[tuple[Prompt, Example]]) -> list[bool]:
        """Return for each of these whether it is answered already."""


class CutSelection(BudgetExhausted):
    """The budget was exhausted during a selection.

    `standings` has what was measured: the best first, what was never measured last.
    """

    standings: tuple[Standing, ...] = ()

    def round(self, number: int) -> Round:
        """Return the round that was cut."""
        cut = Round(number, self.standings, incomplete=True)
        return replace(cut, note=f"The budget ended: {cut.measured}.")


class PairwiseComparison:
    """A protocols.LimitedMeasure over the candidates and dev items of one selection."""

    def __init__(
        self,
        evaluation: Answering,
        arms: Sequence[Candidate],
        dev: Sequence[Example],
        rule: SelectionRule,
    ) -> None:
        self.cut = False
        """The budget was exhausted before the rule had measured all it needed."""
        self._evaluation = evaluation
        self._arms = arms
        self._dev = dev
        # A rule that cannot compare two arms early borrows the test of racing [ours].
        self._leads = rule.ahead if isinstance(rule, Deciding) else leads
        self._leads_on_scores = (
            rule.ahead_on_scores if isinstance(rule, DecidingOnScores) else leads_on_scores
        )
        self._answer_by_pair: dict[Pair, Answer] = {}

    async def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        """Score the pairs (see protocols.Measure).

        Answers that came before the budget was exhausted are stored.
        """
        # Prompt-major: requests of one prompt stand together, so that an engine can share their
        # prefix.
        ordered = sorted(pairs)
        work = [(self._arms[arm].prompt, self._dev[item]) for arm, item in ordered]
        try:
            answers = await self._evaluation.answers(work, "validate")
        except BudgetExhausted as refusal:
            self.cut = True
            came = await self._evaluation.read(work, refusal.answered)
            self._answer_by_pair.update(zip(ordered, came, strict=False))
            raise
        self._answer_by_pair.update(zip(ordered, answers, strict=True))
        return [self._answer_by_pair[pair].score.value for pair in pairs]

    def fitting(self, pairs: Sequence[Pair]) -> int:
        """Return how many of the pairs the budget covers (see protocols.LimitedMeasure)."""
        return self._evaluation.fitting(
            [(self._arms[arm].prompt, self._dev[item]) for arm, item in pairs]
        )

    def score_by_pair(self, pairs: Sequence[Pair]) -> dict[Pair, float | None]:
        """Return the scores of the measured pairs (see protocols.LimitedMeasure)."""
        return {
            pair: self._answer_by_pair[pair].score.value
            for pair in pairs
            if pair in self._answer_by_pair
        }

    def cut_short(self) -> None:
        """Record that pairs were left out (see protocols.LimitedMeasure)."""
        self.cut = True

    async def recall(self) -> None:
        """Load the trial's cached answers for each arm.

        The incumbent has almost all of them, from the round before.
        """
        pairs = product(range(len(self._arms)), range(len(self._dev)))
        lacking = [pair for pair in pairs if pair not in self._answer_by_pair]
        known = self._evaluation.known(
            [(self._arms[arm].prompt, self._dev[item]) for arm, item in lacking]
        )
        await self([pair for pair, is_known in zip(lacking, known, strict=True) if is_known])

    def by_mean(self) -> list[int]:
        """Return the arms by mean score, for a rule that raised when the budget was exhausted."""
        means = [known_mean(self._measured(arm)) for arm in range(len(self._arms))]
        return sorted(
            range(len(self._arms)), key=lambda arm: (means[arm] is None, -(means[arm] or 0.0), arm)
        )

    def settled(self, order: Sequence[int]) -> list[int]:
        """Return the order of a selection that was cut.

        First come the arms ahead of the incumbent, then the incumbent, then the others in the given
        order; arms that were never measured come last.
        """
        ahead = [arm for arm in order if arm != INCUMBENT and self._is_ahead(arm, INCUMBENT)]
        best = INCUMBENT
        # Those that are known best come first: a prompt that was lucky on a few items must be ahead
        # of them too.
        for arm in sorted(ahead, key=lambda arm: -len(self._measured(arm))):
            best = arm if self._is_ahead(arm, best) else best
        first = dict.fromkeys([best, *ahead, INCUMBENT])
        others = [arm for arm in order if arm not in first]
        return [*first, *sorted(others, key=lambda arm: not self._measured(arm))]

    def standing(self, arm: int, kept: bool) -> Standing:
        """Return the standing of an arm."""
        answers = [self._answer_by_pair.get((arm, item)) for item in range(len(self._dev))]
        scores = tuple(answer.score.value if answer else None for answer in answers)
        responses = [
            answer.text
            for answer in answers
            if answer and answer.score.verdict not in ("missing", "refused")
        ]
        candidate = self._arms[arm]
        return Standing(
            candidate,
            known_mean(self._measured(arm)),
            sum(score is not None for score in scores),
            adherence(candidate.prompt, responses),
            kept,
            adherence_by_step(candidate.prompt, responses),
            scores,
            incomplete=self.cut and not self.is_whole(arm),
        )

    def is_whole(self, arm: int) -> bool:
        """Return whether the arm was measured on all dev items."""
        return len(self._measured(arm)) == len(self._dev)

    def _measured(self, arm: int) -> list[float | None]:
        """Return the scores of the items that the arm was measured on."""
        pairs = [(arm, item) for item in range(len(self._dev))]
        return [
            self._answer_by_pair[pair].score.value for pair in pairs if pair in self._answer_by_pair
        ]

    def _is_ahead(self, one: int, other: int) -> bool:
        # Both are complete: the means decide, as in a selection that was not cut.
        if self.is_whole(one) and self.is_whole(other):
            mine, its = known_mean(self._measured(one)), known_mean(self._measured(other))
            return mine is not None and (its is None or mine > its)
        shared = [
            item
            for item in range(len(self._dev))
            if {(one, item), (other, item)} <= self._answer_by_pair.keys()
        ]
        mine_by_item, its_by_item = (
            [self._answer_by_pair[arm, item].score.value for item in shared] for arm in (one, other)
        )
        if is_binary(mine_by_item, its_by_item):
            return self._leads(*discordant(its_by_item, mine_by_item))
        return self._leads_on_scores(mine_by_item, its_by_item)
