"""What the core asks of the world, and what its parts ask of each other."""

from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Protocol, runtime_checkable

from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.outcome_counts import OutcomeCounts
from optimizer.prompt import Prompt
from optimizer.types import Answer, Completion, Example, Outcome, Purpose, Request, Score


class LanguageModel(Protocol):
    """A model behind any number of guards (budget, ledger, limiter).

    Batch first: a minibatch is one call.
    """

    @property
    def name(self) -> str:
        """Model and revision, as it stands in every ledger key."""

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """One outcome a request, in order.

        A request that fails is a `Failed`; a broken system raises.

        Raises AccessError (wrong key, unknown model), EndpointError (unreachable beyond all
        retries) and BudgetExhausted (nothing of the batch was sent).
        """


class OptimizerModel(LanguageModel, Protocol):
    """The optimizer model, as a strategy sees it.

    A model cannot tell what its replies are good for: whoever reads them counts that here.
    """

    @property
    def outcome_counts(self) -> OutcomeCounts:
        """Return the counts of the trial that asks."""


class Limited(Protocol):
    """What a model's budget covers."""

    def fitting(self, requests: Sequence[Request]) -> int:
        """Return how many of these requests, from the first on, are covered now, each at the most
        that it can cost.
        """

    def covers(self, requests: int) -> bool:
        """Say whether so many requests of a search are covered, whatever is asked; a quick answer,
        False where it is not sure.
        """

    def known(self, requests: Sequence[Request]) -> list[bool]:
        """Say which of these requests were answered before."""


class Scorer(Protocol):
    """Judges one response. Never raises for a bad response: that is a verdict."""

    def __call__(self, response: Completion, example: Example) -> Score: ...


class Measure(Protocol):
    """Scores (arm, item) pairs, all of them at once: 0.0 to 1.0, or None where infrastructure gave
    no answer.
    """

    async def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[float | None]: ...


@runtime_checkable
class LimitedMeasure(Measure, Protocol):
    """A measure that a budget limits.

    It raises BudgetExhausted where the budget ends all the same, as others may spend it too.
    """

    def fitting(self, pairs: Sequence[tuple[int, int]]) -> int:
        """How many of these pairs, from the first on, the budget covers now."""

    def score_by_pair(
        self, pairs: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], float | None]:
        """The scores of those of the pairs that were measured."""

    def cut_short(self) -> None:
        """To be called by whoever leaves out pairs that the budget does not cover."""


@runtime_checkable
class Deciding(Protocol):
    """A selection rule that can tell the better of two arms before both have run over all items."""

    def ahead(self, wins: int, losses: int, items: int) -> bool:
        """Is an arm better that wins and loses so many of the items that it shares with another?"""


class SelectionRule(Protocol):
    """Chooses which of some arms are best. Decides on scores only, never on their timing."""

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        """The arms, best first; the first `keep` of them are kept.

        Measures what it needs, each pair at most once.

        Every arm is measured on at least one item, unless the measure is limited. An arm too many
        of whose items gave no answer is unknown, and stands behind all that are known
        (optimizer.statistics.MOST_MISSING). Ties go to the lower arm number (parents stand before
        children).
        """


class Evaluator(Protocol):
    """The target model on one task, as a strategy sees it."""

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        """The target's answer to each (prompt, training example), in order, all asked at once."""

    async def select(
        self, candidates: Sequence[Candidate], keep: int, rng: Random
    ) -> tuple[Standing, ...]:
        """The candidates' standings on the dev split, best first, `keep` of them kept.

        Duplicates (same id) compete once.

        The first candidate is the best so far. Raises CutSelection, which has the standings, where
        the budget ends in it.
        """


class Strategy(Protocol):
    """A search method.

    Deterministic given `rng` and the models' answers; independent calls are made together.
    """

    def search(
        self, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yields a round after each selection; round 0 has the initial prompts.

        Survives failed calls and unparsable replies.

        Lets BudgetExhausted through: whoever drives the search (evaluation.rounds_of) closes it
        with the round that was cut.
        """
