"""Decompose: several plans of the whole task, to compete with each other (ABO, arXiv 2402.02101, section 6)."""

from optimizer.behaviour.search_context import Teaching
from optimizer.candidate import Candidate
from optimizer.operators.decompose import decompose
from optimizer.operators.template import solved
from optimizer.sampling import some


async def decomposed(seed: Candidate, teaching: Teaching) -> list[Candidate]:
    """Plans of numbered steps, each from other solved examples; still without demonstrations. One batch."""
    settings, problem = teaching.settings, teaching.problem
    shown = [some(problem.train, settings.solved_examples, teaching.rng) for _ in range(settings.decompositions)]
    plans = await teaching.ask([decompose(problem.description, seed.prompt.text(), solved(examples)) for examples in shown])
    return [Candidate(teaching.prompt(steps), "decompose", 0, seed.id) for steps in plans if steps]
