"""Decompose: several competing plans of the whole task (ABO, arXiv 2402.02101, section 6)."""

from optimizer.behaviour.search_context import SearchContext
from optimizer.candidate import Candidate
from optimizer.operators.decompose import decompose
from optimizer.questions.template import solved
from optimizer.sampling import some


async def decomposed(seed: Candidate, search_context: SearchContext) -> list[Candidate]:
    """Return plans of numbered steps, each from other solved examples, without demonstrations.

    All plans are one batch; a reply that cannot be read gives no plan.
    """
    settings, problem = search_context.settings, search_context.problem
    shown = [
        some(problem.train, settings.solved_examples, search_context.rng)
        for _ in range(settings.decompositions)
    ]
    plans = await search_context.ask(
        [decompose(problem, seed.prompt.text(), solved(examples)) for examples in shown]
    )
    return search_context.accepted(
        [
            Candidate(search_context.prompt(steps), "decompose", 0, seed.id)
            for steps in plans
            if steps
        ]
    )
