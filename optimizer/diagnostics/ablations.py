"""Measure 5, ABO's ablations: which part of behaviour optimization brings the gain?

Ma et al., arXiv 2402.02101, section 6: short searches with everything, without demonstrations, with
the whole prompt rewritten instead of one step, and with a random step instead of the one that
failed. Each best prompt is tried on items that no search saw.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Any

from optimizer.candidate import Candidate, Problem
from optimizer.diagnostics.findings import figure
from optimizer.errors import BudgetExhausted
from optimizer.evaluation.evaluator import rounds_of
from optimizer.prompt import Prompt
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.statistics import Estimate, PairedTest, Scores, estimate, paired_test
from optimizer.strategies.abo import ABO
from optimizer.types import Example

FULL = "full"
SHORT = ABO(rounds=2, beam=2, minibatch=16, decompositions=1, children=2, localised_errors=6)
"""Settings of a search short enough for a diagnosis, with one plan, so that there is something
to refine [ours].
"""
CHANGES: Mapping[str, Mapping[str, Any]] = {
    FULL: {},
    "without demonstrations": {"demonstrations": 0},
    "whole prompt": {"refine": "whole_prompt"},
    "random step": {"localise": "random"},
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The searches of one variant, all seeds together."""

    accuracy: Estimate
    """Accuracy of the best prompts on the held-out items, with Wilson's interval."""
    against_full: PairedTest | None
    """Comparison with the full variant item by item, seed by seed; None for the full one, and
    where no item has an answer under both.
    """
    prompts: tuple[Prompt, ...]
    """The best prompt of each seed."""


@dataclass(frozen=True, kw_only=True)
class Ablations:
    """The results of all variants."""

    seed_prompt: Estimate
    """Accuracy of the baseline on the held-out items."""
    by_variant: Mapping[str, Variant]
    unfinished: int
    """Searches that exhausted the budget; their best prompt so far was tried."""

    @property
    def verdict(self) -> str:
        """Return the parts without which the best prompts are worse."""
        if not any(one.against_full for one in self.by_variant.values()):
            return "cannot be told"
        worse = [
            name
            for name, one in self.by_variant.items()
            if one.against_full and one.against_full.verdict == "worse"
        ]
        return f"worse: {', '.join(worse)}" if worse else "not distinguishable"

    @property
    def sentence(self) -> str:
        """Return the verdict with its figures, for people."""
        parts = [
            f"{name} {figure(one.accuracy)}, {one.against_full.verdict}"
            for name, one in self.by_variant.items()
            if one.against_full
        ]
        if not parts:
            return "Cannot be told: no item has an answer under two variants."
        cut = f" The budget cut {self.unfinished} searches short." if self.unfinished else ""
        return (
            f"Behaviour optimization reaches {figure(self.by_variant[FULL].accuracy)} from "
            f"{figure(self.seed_prompt)}; "
            f"against that: {'; '.join(parts)}.{cut}"
        )

    @property
    def best_plan(self) -> Prompt | None:
        """Return a prompt with steps, and with demonstrations if there is one.

        The best prompt of the full search comes first.
        """
        plans = [
            prompt
            for variant in self.by_variant.values()
            for prompt in variant.prompts
            if prompt.steps
        ]
        return max(plans, key=lambda prompt: bool(prompt.demonstrations), default=None)


async def ablations(
    problem: Problem,
    optimizer: OptimizerModel,
    evaluate: Evaluator,
    held_out: Sequence[Example],
    seeds: Sequence[int],
    short: ABO = SHORT,
) -> Ablations:
    """Run all searches at once, then try all best prompts as one batch.

    Args:
        problem: The task, as a strategy sees it.
        optimizer: The optimizer model.
        evaluate: The target model on the task.
        held_out: Items that no search sees.
        seeds: Random seeds: one search of each variant for each.
        short: Settings of the full search.

    Raises:
        BudgetExhausted: If the budget does not even cover trying the best prompts.
    """
    runs = [(name, seed) for name in CHANGES for seed in seeds]
    # Side by side: the searches are independent, and each waits for the models most of its time.
    found = await asyncio.gather(
        *(
            _search(replace(short, **CHANGES[name]), problem, optimizer, evaluate, seed)
            for name, seed in runs
        )
    )
    prompts = [best.prompt if best else problem.seed for best, _ in found]
    answers = await evaluate.answers(
        [(one, example) for one in [problem.seed, *prompts] for example in held_out], "validate"
    )
    scores = [answer.score.value for answer in answers]
    seed_scores, rest = scores[: len(held_out)], iter(scores[len(held_out) :])
    scores_by_name = {name: list(islice(rest, len(seeds) * len(held_out))) for name in CHANGES}
    return Ablations(
        seed_prompt=estimate(seed_scores),
        unfinished=sum(not whole for _, whole in found),
        by_variant={
            name: Variant(
                accuracy=estimate(scores_by_name[name]),
                against_full=None
                if name == FULL
                else _compared(scores_by_name[FULL], scores_by_name[name]),
                prompts=tuple(
                    prompt for (own, _), prompt in zip(runs, prompts, strict=True) if own == name
                ),
            )
            for name in CHANGES
        },
    )


def _compared(full: Scores, other: Scores) -> PairedTest | None:
    test = paired_test(full, other)
    return test if test.pairs else None


async def _search(
    settings: ABO, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, seed: int
) -> tuple[Candidate | None, bool]:
    """Return the best candidate of a search, and whether it came to its end."""
    best: Candidate | None = None
    search = settings.search(problem, optimizer, evaluate, Random(f"ablation {seed}"))
    try:
        async with aclosing(rounds_of(search)) as rounds:  # type: ignore[type-var]  # an async generator, by the protocol's contract
            async for round in rounds:
                best = round.best.candidate
    except BudgetExhausted:
        # A search that was cut has a best prompt all the same, which can be tried.
        return best, False
    return best, True
