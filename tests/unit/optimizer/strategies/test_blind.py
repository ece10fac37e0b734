"""A strategy that learns nothing is a legal one: the contract holds for it as it stands."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from random import Random

from optimizer.candidate import Candidate, Problem, Round
from optimizer.operators.asking import Asking
from optimizer.operators.vary import vary
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.strategies.lineage import unseen
from optimizer.types import Sampling
from optimizer.validators import at_least
from tests.contracts.strategy_contract import StrategyContract


@dataclass(frozen=True, kw_only=True)
class BlindRewording:
    """Settings of a search that rewords the baseline again and again.

    Its proposals come from no example, no answer and no score: only the evaluator looks at those.
    """

    rounds: int = 3
    pool: int = 4
    beam: int = 2
    temperature: float = 0.9
    max_tokens: int = 256

    def __post_init__(self) -> None:
        at_least(0, rounds=self.rounds, pool=self.pool, temperature=self.temperature)
        at_least(1, beam=self.beam, max_tokens=self.max_tokens)

    async def search(
        self, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yield the rounds of the search (see protocols.Strategy)."""
        ask = Asking(optimizer, Sampling(self.temperature, self.max_tokens), rng)
        seed = Candidate(problem.seed, "seed", 0)
        alive, seen = (seed,), {seed.id}
        for number in range(self.rounds + 1):
            worded = bool(problem.seed.instruction)
            question = vary(problem, problem.seed.instruction)
            texts = await ask([question] * self.pool if worded else [])
            new = [
                Candidate(replace(problem.seed, instruction=text), "vary", number, seed.id)
                for text in texts
                if text
            ]
            new = unseen(new, seen)
            seen.update(one.id for one in new)
            standings = await evaluate.select([*alive, *new], self.beam, rng)
            latest = Round(number, standings, f"{len(new)} rewordings.", ask.take_parse_failures())
            yield latest
            ask.go_on()
            alive = latest.kept


class TestBlindRewording(StrategyContract):
    make = BlindRewording
    small = {"rounds": 3, "pool": 4, "beam": 2}
    max_batches_per_round = 1
    wide = {"pool": 12, "beam": 5}
    beam = False
    shows_examples = False
    shows_errors = False
    learns_the_baseline_s_score = False
