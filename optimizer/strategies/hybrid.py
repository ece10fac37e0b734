"""Hybrid: behaviour optimization that also reflects, with a Pareto front instead of a beam [ours].

It goes beyond the paper: ABO (Ma et al., arXiv 2402.02101, section 6) with three loans:

  - New steps come from the failing step, as in ABO, and from a criticism of groups of errors, as
    in ProTeGi (arXiv 2305.03495): the one can only fix a step that is there, the other can find
    that one is missing.
  - Parents are drawn from a Pareto front over the dev items, by the number of items that each
    leads, as in GEPA (arXiv 2507.19457): a prompt that alone solves some items is worked on, and
    one that is like another but weaker is not.
  - Demonstrations show first what the parent got wrong.

A strategy sees dev items as numbers alone. Knows no engine, no clock and no test split.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from optimizer.behaviour.decomposition import decomposed
from optimizer.behaviour.demonstration import demonstrated
from optimizer.behaviour.early_stopping import EarlyStopping
from optimizer.behaviour.evidence import Evidence
from optimizer.behaviour.localisation import Inspection
from optimizer.behaviour.pareto_front import draw, led_items
from optimizer.behaviour.refinement import Setbacks, refinement
from optimizer.behaviour.reflection import Group, criticism, revision
from optimizer.behaviour.rewriting import Draft, written
from optimizer.behaviour.search_context import SearchContext
from optimizer.behaviour.settings import BehaviourSettings
from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.operators.asking import Asking, Question
from optimizer.operators.new_prompt import sampling_for
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.sampling import some, some_errors
from optimizer.strategies.lineage import unseen
from optimizer.types import Answer
from optimizer.validators import at_least, at_most


@dataclass(frozen=True, kw_only=True)
class Hybrid(BehaviourSettings):
    """Settings of the search, with those that all searches over behaviour share.

    All of its own are [ours].

    Raises:
        SettingsError: For a value out of range.
    """

    proposals: int = 12
    """New prompts of a round, of all parents together."""
    reflected: float = 0.5
    """Share of them that come from a criticism; the others refine the failing step."""
    errors_per_group: int = 4
    """Maximum number of errors that a critic sees (APO's main.py: 4)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, proposals=self.proposals, reflected=self.reflected)
        at_most(1, reflected=self.reflected)
        at_least(1, errors_per_group=self.errors_per_group)

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
        seed = Candidate(problem.seed, "seed", 0)
        plans = unseen(
            await demonstrated(await decomposed(seed, search_context), search_context), {seed.id}
        )
        seen = {seed.id, *(plan.id for plan in plans)}
        evidence = Evidence(evaluate)
        standings = on_the_front(await evaluate.select([seed, *plans], self.beam, rng), evidence)
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
            number = latest.number + 1
            parents = await self._parents(latest, problem, evidence, rng)
            drafts = await self._drafts(parents, setbacks, number, search_context)
            wrong_by_parent = {
                parent.candidate.id: [error.example for error in parent.errors]
                for parent in parents
            }
            children = unseen(
                await demonstrated(
                    await written(drafts, search_context), search_context, wrong_by_parent
                ),
                seen,
            )
            seen.update(child.id for child in children)
            standings = on_the_front(
                await evaluate.select([*latest.kept, *children], self.beam, rng), evidence
            )
            note = (
                f"{len(children)} new prompts from {len(parents)} of {len(latest.kept)} on the "
                "front."
            )
            latest = Round(number, standings, note, ask.take_parse_failures())
            setbacks.note(latest)
            yield latest
            ask.go_on()

    async def _parents(
        self, latest: Round, problem: Problem, evidence: Evidence, rng: Random
    ) -> list["_Parent"]:
        """Return the prompts drawn from the front, with their errors on one minibatch.

        A prompt without errors is left out: there is nothing to learn from it.
        """
        errors = await evidence.errors(latest.kept, some(problem.train, self.minibatch, rng))
        led = led_items([standing.scores for standing in latest.standings if standing.kept])
        times = draw(
            # A prompt without errors teaches nothing, so it gets no draws.
            [count if wrong else 0 for count, wrong in zip(led, errors, strict=True)],
            self.proposals,
            rng,
        )
        return [
            _Parent(
                candidate,
                tuple(wrong),
                # Both shares come from one rounding, so that they add up to the draws.
                round(count * self.reflected),
                count - round(count * self.reflected),
            )
            for candidate, wrong, count in zip(latest.kept, errors, times, strict=True)
            if wrong and count
        ]

    async def _drafts(
        self,
        parents: Sequence["_Parent"],
        setbacks: Setbacks,
        number: int,
        search_context: SearchContext,
    ) -> list[Draft]:
        """Return as many drafts of each parent as it was drawn.

        Its errors are inspected and criticised in one batch.
        """
        groups = [
            Group(
                parent.candidate,
                tuple(some_errors(parent.errors, self.errors_per_group, search_context.rng)),
            )
            for parent in parents
            for _ in range(parent.revisions)
        ]
        inspection = Inspection(
            [parent.candidate for parent in parents],
            [parent.errors for parent in parents],
            search_context,
        )
        questions: list[Question[Any]] = [
            *inspection.questions,
            *(criticism(group, search_context) for group in groups),
        ]
        replies = await search_context.ask(questions)
        findings = inspection.findings(replies[: len(inspection.questions)])
        reasons = replies[len(inspection.questions) :]
        refinements_by_id = {parent.candidate.id: parent.refinements for parent in parents}
        return [
            *(
                revision(group, reason, number, search_context)
                for group, reason in zip(groups, reasons, strict=True)
                if reason
            ),
            *(
                refinement(finding, setbacks, number, search_context)
                for finding in findings
                for _ in range(refinements_by_id[finding.parent.id])
            ),
        ]


@dataclass(frozen=True)
class _Parent:
    """A prompt of the front, its errors, and its number of new prompts of either kind."""

    candidate: Candidate
    errors: tuple[Answer, ...]
    revisions: int
    refinements: int


def on_the_front(standings: Sequence[Standing], evidence: Evidence) -> tuple[Standing, ...]:
    """Return the standings with only the Pareto front kept, and the best.

    The best is the result, as in GEPA. Selection rules measure what they keep on most items or all;
    a prompt dropped early has too few scores to lead any.
    """
    kept = evidence.ranked([standing for standing in standings if standing.kept])
    led = led_items([standing.scores for standing in kept])
    front = [
        standing
        for at, (standing, count) in enumerate(zip(kept, led, strict=True))
        if count or not at
    ]
    others = [standing for standing in (*kept, *standings) if standing not in front]
    return (*front, *(replace(standing, kept=False) for standing in dict.fromkeys(others)))
