"""Revise: add a step to a prompt's steps, or ask for one more strongly."""

from serving.engines.rulebook.metaprompt import Query, steps_of
from serving.engines.rulebook.phrasebook import PHRASEBOOK, STRONGER, VAGUE, kind_of
from serving.engines.rulebook.wishes import in_order, kind_of_reason, phrase


def revise(query: Query) -> str:
    """Add what the reason finds missing as a step, in its place.

    Every other step stays word for word, its form behind it.
    """
    kind = kind_of_reason(query.reason, query.task) if query.task else None
    if kind is None or query.task is None or query.biased:
        return _numbered([*query.steps, f"{query.rng.choice(VAGUE)}. [text]"])
    others = [step for step in query.steps if kind_of(step, query.task) != kind]
    asked_before = len(others) < len(query.steps)
    wish = phrase(query.task, kind, query.rng) + (
        query.rng.choice(STRONGER) if asked_before else ""
    )
    return _numbered(
        in_order([*others, f"{wish}. [{PHRASEBOOK[query.task.name][kind].form}]"], query.task)
    )


def _numbered(steps: list[str]) -> str:
    return steps_of([f"{number}. {step}" for number, step in enumerate(steps, 1)])
