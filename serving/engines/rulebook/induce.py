"""Induce: write a task sentence, from inputs and outputs alone."""

from serving.engines.rulebook.metaprompt import Query, prompt_of
from serving.engines.rulebook.phrasebook import VAGUE
from serving.engines.rulebook.wishes import phrase


def induce(query: Query) -> str:
    """Write a task sentence, and now and then a first step."""
    parts = [query.task.description if query.task and not query.biased else "Answer the question."]
    if query.task and not query.biased and query.rng.random() < 0.5:
        parts.append(phrase(query.task, query.rng.choice(query.task.kinds), query.rng) + ".")
    if query.rng.random() < 0.5:
        parts.append(f"{query.rng.choice(VAGUE)}.")
    return prompt_of(" ".join(parts))
