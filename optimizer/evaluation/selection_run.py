"""One selection: what was measured of each arm, and who is ahead where the budget ends before the
selection rule does.

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
from optimizer.protocols import Deciding, SelectionRule
from optimizer.statistics import discordant, known_mean, leads
from optimizer.types import Answer, Example, Outcome, Purpose

Pair = tuple[int, int]
INCUMBENT = 0


class Answering(Protocol):
    """What a selection needs of the target model, as `Evaluation` has it."""

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        """Return the target's answers, in order."""

    def read(
        self, work: Sequence[tuple[Prompt, Example]], outcomes: Sequence[Outcome]
    ) -> list[Answer]:
        """Return the answers that outcomes are, and count nothing."""

    def fitting(self, work: Sequence[tuple[Prompt, Example]]) -> int:
        """Return how many of these, from the first on, the budget covers."""

    def known(self, work: Sequence[tuple[Prompt, Example]]) -> list[bool]:
        """Return which of these are answered already."""


class CutSelection(BudgetExhausted):
    """The budget has ended in a selection.

    `standings` has what was measured: the best first, what was never measured last.
    """

    standings: tuple[Standing, ...] = ()

    def round(self, number: int) -> Round:
        """The round that was cut."""
        cut = Round(number, self.standings, incomplete=True)
        return replace(cut, note=f"The budget ended: {cut.measured}.")


class PairwiseComparison:
    """See protocols.LimitedMeasure, which it is."""

    def __init__(
        self,
        evaluation: Answering,
        arms: Sequence[Candidate],
        dev: Sequence[Example],
        rule: SelectionRule,
    ) -> None:
        self.cut = False
        """The budget ended before the rule had measured what it wanted."""
        self._evaluation = evaluation
        self._arms = arms
        self._dev = dev
        self._leads = rule.ahead if isinstance(rule, Deciding) else leads
        self._answer_by_pair: dict[Pair, Answer] = {}

    async def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        """See protocols.Measure. What came before the budget ended is kept."""
        # Prompt-major: requests of one prompt stand together, so that an engine can share their
        # prefix.
        ordered = sorted(pairs)
        work = [(self._arms[arm].prompt, self._dev[item]) for arm, item in ordered]
        try:
            answers = await self._evaluation.answers(work, "validate")
        except BudgetExhausted as refusal:
            self.cut = True
            came = self._evaluation.read(work, refusal.answered)
            self._answer_by_pair.update(zip(ordered, came, strict=False))
            raise
        self._answer_by_pair.update(zip(ordered, answers, strict=True))
        return [self._answer_by_pair[pair].score.value for pair in pairs]

    def fitting(self, pairs: Sequence[Pair]) -> int:
        """See protocols.LimitedMeasure."""
        return self._evaluation.fitting(
            [(self._arms[arm].prompt, self._dev[item]) for arm, item in pairs]
        )

    def score_by_pair(self, pairs: Sequence[Pair]) -> dict[Pair, float | None]:
        """See protocols.LimitedMeasure."""
        return {
            pair: self._answer_by_pair[pair].score.value
            for pair in pairs
            if pair in self._answer_by_pair
        }

    def cut_short(self) -> None:
        """See protocols.LimitedMeasure."""
        self.cut = True

    async def recall(self) -> None:
        """Takes in what the trial knows already of each arm: of the incumbent mostly everything,
        from the round before.
        """
        pairs = product(range(len(self._arms)), range(len(self._dev)))
        lacking = [pair for pair in pairs if pair not in self._answer_by_pair]
        known = self._evaluation.known(
            [(self._arms[arm].prompt, self._dev[item]) for arm, item in lacking]
        )
        await self([pair for pair, is_known in zip(lacking, known, strict=True) if is_known])

    def by_mean(self) -> list[int]:
        """The arms, best first, for a rule that did not survive the end of the budget."""
        means = [known_mean(self._asked(arm)) for arm in range(len(self._arms))]
        return sorted(
            range(len(self._arms)), key=lambda arm: (means[arm] is None, -(means[arm] or 0.0), arm)
        )

    def settled(self, order: Sequence[int]) -> list[int]:
        """The order of a selection that was cut: whoever is ahead of the incumbent, the incumbent,
        and then the others in the given
        order; last whoever was never measured.
        """
        ahead = [arm for arm in order if arm != INCUMBENT and self._is_ahead(arm, INCUMBENT)]
        best = INCUMBENT
        # Those that are known best come first: a prompt that was lucky on a few items must be ahead
        # of them too.
        for arm in sorted(ahead, key=lambda arm: -len(self._asked(arm))):
            best = arm if self._is_ahead(arm, best) else best
        first = dict.fromkeys([best, *ahead, INCUMBENT])
        others = [arm for arm in order if arm not in first]
        return [*first, *sorted(others, key=lambda arm: not self._asked(arm))]

    def standing(self, arm: int, kept: bool) -> Standing:
        """How an arm came out."""
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
            known_mean(self._asked(arm)),
            sum(score is not None for score in scores),
            adherence(candidate.prompt, responses),
            kept,
            adherence_by_step(candidate.prompt, responses),
            scores,
            incomplete=self.cut and not self.is_whole(arm),
        )

    def is_whole(self, arm: int) -> bool:
        """Was it asked on all dev items?"""
        return len(self._asked(arm)) == len(self._dev)

    def _asked(self, arm: int) -> list[float | None]:
        """The scores of the items that it was asked."""
        pairs = [(arm, item) for item in range(len(self._dev))]
        return [
            self._answer_by_pair[pair].score.value for pair in pairs if pair in self._answer_by_pair
        ]

    def _is_ahead(self, one: int, other: int) -> bool:
        if self.is_whole(one) and self.is_whole(other):
            mine, its = known_mean(self._asked(one)), known_mean(self._asked(other))
            return mine is not None and (its is None or mine > its)
        shared = [
            item
            for item in range(len(self._dev))
            if {(one, item), (other, item)} <= self._answer_by_pair.keys()
        ]
        mine_by_item, its_by_item = (
            [self._answer_by_pair[arm, item].score.value for item in shared] for arm in (one, other)
        )
        return self._leads(*discordant(its_by_item, mine_by_item))
