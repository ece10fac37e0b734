"""ABO: optimizes what the target model does, and not only the text of its prompt.

Ma et al., "Are Large Language Models Good Prompt Optimizers?", arXiv 2402.02101, section 6.

  a. Decompose the task into numbered steps, each with a result that can be checked; several plans
     compete.
  b. Demonstrate the steps on a few training examples, so that the target model follows them.
  c. Let the target model answer, step by step.
  d. Localise, in its errors, the step that failed first; vote.
  e. Refine that step alone, or split it; write new demonstrations of the changed steps.
  f. Select. What is no better than its parent is rolled back, and its reason shown when that step
     is refined again. Go on with c, until dev accuracy and the share of steps followed stop rising.

The paper's code is not public: what its text leaves open is marked [ours]. Knows no engine, no
clock and no test split.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from optimizer.behaviour.decomposition import decomposed
from optimizer.behaviour.demonstration import demonstrated
from optimizer.behaviour.early_stopping import EarlyStopping
from optimizer.behaviour.localisation import localised, note_of
from optimizer.behaviour.refinement import Setbacks, refinement, rolled_back
from optimizer.behaviour.rewriting import written
from optimizer.behaviour.search_context import SearchContext
from optimizer.behaviour.settings import BehaviourSettings
from optimizer.candidate import Candidate, Problem, Round
from optimizer.operators.asking import Asking
from optimizer.operators.new_prompt import sampling_for
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.strategies.lineage import unseen
from optimizer.strategies.minibatch import errors_by_parent
from optimizer.validators import at_least, one_of

Localise = Literal["vote", "random"]
Refine = Literal["step", "whole_prompt"]


@dataclass(frozen=True, kw_only=True)
class ABO(BehaviourSettings):
    """Settings of the search, with those that all searches over behaviour share.

    The paper's ablations: `demonstrations=0`, `refine="whole_prompt"`, `localise="random"`.

    Raises:
        SettingsError: For a value out of range.
    """

    children: int = 4
    """Refinements of one prompt in a round [ours] (APO: at most 8 new prompts)."""
    localise: Localise = "vote"
    """Which step is refined: the one that most errors blame, or a random one."""
    refine: Refine = "step"
    """Rewrite that step alone, or the whole prompt."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, children=self.children)
        one_of(get_args(Localise), localise=self.localise)
        one_of(get_args(Refine), refine=self.refine)

    async def search(
        self, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yield the rounds of the search (see protocols.Strategy)."""
        ask = Asking(optimizer, sampling_for(problem, self.temperature, self.max_tokens), rng)
        search_context, setbacks, early_stopping = (
            SearchContext(self, problem, ask, rng),
            Setbacks(),
            EarlyStopping(self.patience),
        )
        seed, whole = Candidate(problem.seed, "seed", 0), self.refine == "whole_prompt"
        plans = unseen(
            await demonstrated(await decomposed(seed, search_context), search_context), {seed.id}
        )
        # A prompt enters once, so that lineages are trees and calls are not wasted.
        seen = {seed.id, *(plan.id for plan in plans)}
        standings = await evaluate.select([seed, *plans], self.beam, rng)
        latest = Round(
            0,
            standings,
            f"{len(plans)} plans of steps beside the baseline.",
            ask.take_parse_failures(),
        )
        yield latest
        ask.go_on()
        search_context = search_context.measured(standings)
        while latest.number < self.rounds and not early_stopping.reached(latest):
            number, parents = latest.number + 1, latest.kept
            errors = await errors_by_parent(parents, problem.train, self.minibatch, evaluate, rng)
            findings = await localised(
                parents, errors, search_context, at_random=self.localise == "random"
            )
            drafts = [
                refinement(one, setbacks, number, search_context, whole)
                for one in findings
                for _ in range(self.children)
            ]
            children = unseen(
                await demonstrated(await written(drafts, search_context), search_context), seen
            )
            seen.update(child.id for child in children)
            # After the selection: it knows dev scores only, and may keep a child that ties its
            # parent.
            standings = rolled_back(
                await evaluate.select([*parents, *children], self.beam, rng), number
            )
            latest = Round(
                number, standings, note_of(findings, len(children)), ask.take_parse_failures()
            )
            setbacks.note(latest)
            yield latest
            ask.go_on()
