"""Criticise: name the step that the responses first go wrong at, or a stock reason when biased."""

from collections import Counter

from optimizer.tasks.generated.faults import first_fault
from serving.engines.rulebook.metaprompt import Query
from serving.engines.rulebook.phrasebook import PHRASEBOOK, STOCK_REASONS


def criticise(query: Query) -> str:
    """Name one step that some of the responses lack and that their right answers rest on.

    The more responses lack it, the likelier it is named.
    """
    kinds = query.task.kinds if query.task else ()
    items = [(query.item(case), case.response) for case in query.cases]
    faults = Counter(
        kind for item, response in items if item and (kind := first_fault(item, kinds, response))
    )
    if query.biased or not query.task or not faults:
        return f"<reason>{query.rng.choice(STOCK_REASONS)}</reason>"
    kind = query.rng.choices(list(faults), weights=list(faults.values()))[0]
    return f"<reason>In the responses {PHRASEBOOK[query.task.name][kind].missing}.</reason>"
