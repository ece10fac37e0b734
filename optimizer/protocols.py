"""What the core asks of the world, and what its parts ask of each other."""

from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Protocol

from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.prompt import Prompt
from optimizer.types import Answer, Completion, Example, Outcome, Purpose, Request, Score


class LanguageModel(Protocol):
    """A model behind any number of guards (budget, ledger, limiter). Batch first: a minibatch is one call."""

    @property
    def name(self) -> str:
        """Model and revision, as it stands in every ledger key."""

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """One outcome a request, in order. A request that fails is a `Failed`; a broken system raises.

        Raises AccessError (wrong key, unknown model), EndpointError (unreachable beyond all retries) and BudgetExhausted
        (nothing of the batch was sent).
        """


class Scorer(Protocol):
    """Judges one response. Never raises for a bad response: that is a verdict."""

    def __call__(self, response: Completion, example: Example) -> Score: ...


class Measure(Protocol):
    """Scores (arm, item) pairs, all of them at once: 0.0 to 1.0, or None where infrastructure gave no answer."""

    async def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[float | None]: ...


class SelectionRule(Protocol):
    """Chooses which of some arms are best. Decides on scores only, never on their timing."""

    async def select(self, arms: int, items: int, keep: int, measure: Measure, rng: Random) -> list[int]:
        """The arms, best first; the first `keep` of them are kept. Measures what it needs, each pair at most once.

        Every arm is measured on at least one item. An arm too many of whose items gave no answer is unknown, and stands behind all
        that are known (optimizer.statistics.MOST_MISSING). Ties go to the lower arm number (parents stand before children).
        """


class Evaluator(Protocol):
    """The target model on one task, as a strategy sees it."""

    async def answers(self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn") -> list[Answer]:
        """The target's answer to each (prompt, training example), in order, all asked at once."""

    async def select(self, candidates: Sequence[Candidate], keep: int, rng: Random) -> tuple[Standing, ...]:
        """The candidates' standings on the dev split, best first, `keep` of them kept. Duplicates (same id) compete once."""


class Strategy(Protocol):
    """A search method. Deterministic given `rng` and the models' answers; independent calls are made together."""

    def search(self, problem: Problem, optimizer: LanguageModel, evaluate: Evaluator, rng: Random) -> AsyncIterator[Round]:
        """Yields a round after each selection; round 0 has the initial prompts. Survives failed calls and unparsable replies.

        Lets BudgetExhausted through: whoever drives the search closes the run with the best of the rounds so far.
        """
