"""The protocols that the core needs from the world, and that its parts need from each other."""

from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Protocol, runtime_checkable

from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.grader import Grader as Grader
from optimizer.outcome_counts import OutcomeCounts
from optimizer.prompt import Prompt
from optimizer.statistics import Scores
from optimizer.types import Answer, Example, Outcome, Purpose, Request


class LanguageModel(Protocol):
    """A model behind any number of guards (budget, ledger, rate limit).

    Batch first: a minibatch is one call.
    """

    @property
    def name(self) -> str:
        """Return model and revision, as they are part of every ledger key."""

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order.

        A request that fails is a `Failed` value; a broken system raises.

        Raises:
            AccessError: If the key is wrong or the model unknown.
            EndpointError: If the model is unreachable beyond all retries.
            BudgetExhausted: If the budget does not cover the batch; `answered` has the outcomes
                that were paid for.
        """


class OptimizerModel(LanguageModel, Protocol):
    """The optimizer model, as a strategy sees it.

    A model cannot tell what its replies are good for: whoever reads them counts that here.
    """

    @property
    def outcome_counts(self) -> OutcomeCounts:
        """Return the counts of the trial whose model this is."""


class Limited(Protocol):
    """The part of a model's budget that a search needs."""

    def fitting(self, requests: Sequence[Request]) -> int:
        """Return how many of these requests, counted from the first, are covered now.

        Each is counted with the most that it can cost.
        """

    def covers(self, requests: int) -> bool:
        """Return quickly whether so many requests of a search are covered; False if unsure."""

    def known(self, requests: Sequence[Request]) -> list[bool]:
        """Return for each of these requests whether it was answered before."""


class Measure(Protocol):
    """Scores (arm, item) pairs, all of them at once.

    A score is 0.0 to 1.0, or None where infrastructure gave no answer.
    """

    async def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[float | None]:
        """Return the scores of the pairs, in order."""


@runtime_checkable
class LimitedMeasure(Measure, Protocol):
    """A measure that a budget limits.

    It may still raise BudgetExhausted after `fitting`, as others may spend the same budget.
    """

    def fitting(self, pairs: Sequence[tuple[int, int]]) -> int:
        """Return how many of these pairs, counted from the first, the budget covers now."""

    def score_by_pair(
        self, pairs: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], float | None]:
        """Return the scores of those of the pairs that were measured."""

    def cut_short(self) -> None:
        """Record that the caller leaves out pairs that the budget does not cover."""


@runtime_checkable
class Deciding(Protocol):
    """A selection rule that can find the better of two arms before both ran over all items."""

    def ahead(self, wins: int, losses: int, items: int) -> bool:
        """Return whether an arm beats another, given wins and losses on their shared items."""


@runtime_checkable
class DecidingOnScores(Protocol):
    """The same for graded scores, of which wins and losses alone say too little.

    A rule that has only `Deciding.ahead` is asked with scores of 0 and 1, and borrows the test of
    racing for all others.
    """

    def ahead_on_scores(self, scores: Scores, rival: Scores) -> bool:
        """Return whether an arm beats another, given both arms' scores on their shared items."""


class SelectionRule(Protocol):
    """Chooses the best of several arms; decides on scores only, never on their timing."""

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        """Return the arms, best first; the first `keep` of them are kept.

        The rule measures what it needs, each pair at most once. Every arm is measured on at least
        one item, unless the measure is limited. An arm with too many items without an answer is
        unknown, and ranks behind all that are known (optimizer.statistics.MOST_MISSING). Ties go to
        the lower arm number (parents come before children).

        Args:
            arms: Number of arms; arm 0 is the best so far.
            items: Number of dev items.
            keep: Number of arms to keep.
            measure: Scores the pairs.
            rng: The source of all random choices.
        """


class Evaluator(Protocol):
    """The target model on one task, as a strategy sees it."""

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        """Return the target's answer to each (prompt, training example), in order, as one batch."""

    async def select(
        self, candidates: Sequence[Candidate], keep: int, rng: Random
    ) -> tuple[Standing, ...]:
        """Return the candidates' standings on the dev split, best first, `keep` of them kept.

        Duplicates (same id) compete once. The first candidate is the best so far.

        Raises:
            CutSelection: If the budget is exhausted during the selection; it carries the standings.
        """


class Strategy(Protocol):
    """A search method.

    It is deterministic given `rng` and the models' answers; independent calls are made together.
    """

    def search(
        self, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yield a round after each selection; round 0 has the initial prompts.

        It survives failed calls and replies that cannot be parsed. It lets BudgetExhausted through:
        the driver of the search (evaluation.rounds_of) closes it with the round that was cut.
        """
