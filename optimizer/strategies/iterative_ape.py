"""Iterative APE: resampling without reflection.

The control arm: does learning from errors beat blind rewording? It draws a pool of instructions,
keeps the best, and each round asks for one variation of every survivor. The optimizer model never
sees an error or a score. Zhou et al., "Large Language Models Are Human-Level Prompt Engineers",
arXiv 2211.01910, section 3.3; as an arm of the comparison in Ma et al., arXiv 2402.02101. Knows no
engine, no clock and no test split.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, get_args

from optimizer.candidate import Candidate, Problem, Round
from optimizer.operators.asking import Asking
from optimizer.operators.induce import induce
from optimizer.operators.new_prompt import sampling_for
from optimizer.operators.vary import vary
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.questions.edits import is_long
from optimizer.sampling import some
from optimizer.strategies.lineage import unseen
from optimizer.validators import at_least, one_of

Pool = Literal["induce", "vary"]


@dataclass(frozen=True, kw_only=True)
class IterativeAPE:
    """Settings of the search.

    Raises:
        SettingsError: For a value out of range.
    """

    rounds: int = 6
    """Rounds after round 0: as many as APO, so that both are selected equally often [ours]
    (EvoPrompt's baseline: 10).
    """
    beam: int = 4
    """Survivors of a round: as many as APO [ours] (EvoPrompt's baseline: 10)."""
    pool: int = 10
    """Instructions drawn for round 0, beside the baseline (taagarwa-rh/prompt-optimizer: 10; APE:
    250).
    """
    source: Pool = "induce"
    """Source of the pool: induced from solved examples (APE), or variations of the baseline."""
    solved_examples: int = 5
    """Examples shown in one induction (APE's `simple_ape`: 5)."""
    temperature: float = 0.9
    """Temperature of the optimizer model (APE: 0.9)."""
    max_tokens: int = 1024
    """Maximum tokens of a reply of the optimizer model [ours: as APO]."""

    def __post_init__(self) -> None:
        at_least(0, rounds=self.rounds, pool=self.pool, temperature=self.temperature)
        at_least(
            1, beam=self.beam, solved_examples=self.solved_examples, max_tokens=self.max_tokens
        )
        one_of(get_args(Pool), source=self.source)

    async def search(
        self, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yield the rounds of the search (see protocols.Strategy)."""
        ask = Asking(optimizer, sampling_for(problem, self.temperature, self.max_tokens), rng)
        seed = Candidate(problem.seed, "seed", 0)
        pool = unseen(await self._pool(seed, problem, ask, rng), {seed.id})
        seen = {seed.id, *(candidate.id for candidate in pool)}
        standings = await evaluate.select([seed, *pool], self.beam, rng)
        latest = Round(
            0,
            standings,
            f"{len(pool)} prompts drawn beside the baseline.",
            ask.take_parse_failures(),
        )
        yield latest
        ask.go_on()
        problem = problem.with_baseline_score(standings)
        for number in range(1, self.rounds + 1):
            survivors = latest.kept
            variations = unseen(await self._variations(survivors, problem, ask, number), seen)
            seen.update(candidate.id for candidate in variations)
            standings = await evaluate.select([*survivors, *variations], self.beam, rng)
            note = f"{len(variations)} variations of {len(survivors)} survivors."
            latest = Round(number, standings, note, ask.take_parse_failures())
            yield latest
            ask.go_on()

    async def _pool(
        self, seed: Candidate, problem: Problem, ask: Asking, rng: Random
    ) -> list[Candidate]:
        # A long baseline cannot be guessed from a few examples: it would be thrown away.
        if self.source == "vary" or is_long(problem.seed.instruction):
            return await self._variations([seed] * self.pool, problem, ask, 0)
        shown = [some(problem.train, self.solved_examples, rng) for _ in range(self.pool)]
        texts = await ask([induce(problem, examples) for examples in shown])
        return [_child(seed, "induce", text, 0) for text in texts if text]

    async def _variations(
        self, parents: Sequence[Candidate], problem: Problem, ask: Asking, number: int
    ) -> list[Candidate]:
        # An empty instruction cannot be reworded.
        worded = [parent for parent in parents if parent.prompt.instruction]
        texts = await ask([vary(problem, parent.prompt.instruction) for parent in worded])
        return [
            _child(parent, "vary", text, number)
            for parent, text in zip(worded, texts, strict=True)
            if text
        ]


def _child(parent: Candidate, operator: str, instruction: str, number: int) -> Candidate:
    return Candidate(replace(parent.prompt, instruction=instruction), operator, number, parent.id)
