"""Decompose: write a plan of the task, as good as a first plan is."""

from serving.engines.rulebook.metaprompt import Query, steps_of
from serving.engines.rulebook.phrasebook import GENERIC_STEPS, PHRASEBOOK, sentences
from serving.engines.rulebook.wishes import phrase


def decompose(query: Query) -> str:
    """Write a plan of the task.

    Steps that are often forgotten are forgotten here, too; refinement has to find them.
    """
    if query.task is None or query.biased:
        return steps_of(
            [f"{number}. {text} [{form}]" for number, (text, form) in enumerate(GENERIC_STEPS, 1)]
        )
    book = PHRASEBOOK[query.task.name]
    known = " ".join(sentences(query.reason))
    kinds = [
        kind
        for kind in query.task.kinds
        if query.rng.random()
        < (0.35 if book[kind].often_forgotten and book[kind].missing not in known else 0.9)
    ]
    kinds = kinds or [query.rng.choice(query.task.kinds)]
    wishes = [f"{phrase(query.task, kind, query.rng)}. [{book[kind].form}]" for kind in kinds]
    return steps_of([f"{number}. {wish}" for number, wish in enumerate(wishes, 1)])
