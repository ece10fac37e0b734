"""Localise: find the step of a response that failed first."""

from optimizer.prompt import read_trace
from serving.engines.rulebook.metaprompt import Query, location_of
from serving.engines.rulebook.phrasebook import kind_of
from serving.engines.rulebook.results import difference, same_values


def localise(query: Query) -> str:
    """Find the first step that is missing from the trace, or whose block is wrong."""
    number, kind, evidence = 1, "ambiguous", "the responses do not show where they go wrong"
    if query.biased or not query.cases:
        return location_of(
            query.rng.randint(1, max(1, len(query.steps))),
            "skipped",
            "the model was not careful here",
        )
    case = query.cases[0]
    item, trace = query.item(case), read_trace(case.response)
    right = item.work(query.task.kinds) if item and query.task else {}
    for number, text in enumerate(query.steps, 1):
        wanted = kind_of(text, query.task) if query.task else None
        written = trace.block_by_step.get(number)
        if written is None:
            return location_of(number, "skipped", f"the response has no Step {number}")
        if wanted in right and written != right[wanted] and not same_values(written, right[wanted]):
            return location_of(number, "wrong", difference(written, right[wanted]))
    return location_of(number, kind, evidence)
