"""Demonstrate: verified traces that show how a prompt's steps are done.

ABO, arXiv 2402.02101, section 6. A trace with a wrong final answer, or without one of the steps, is
requested again, then tried on another example, then left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from random import Random
from types import MappingProxyType

from optimizer.behaviour.search_context import SearchContext
from optimizer.candidate import Candidate
from optimizer.grader import Grader
from optimizer.operators.demonstrate import demonstrate, faults
from optimizer.prompt import Demonstration
from optimizer.sampling import some
from optimizer.types import Example

NONE_FIRST: Mapping[str, Sequence[Example]] = MappingProxyType({})


async def demonstrated(
    candidates: Sequence[Candidate],
    search_context: SearchContext,
    shown_first: Mapping[str, Sequence[Example]] = NONE_FIRST,
) -> list[Candidate]:
    """Return the candidates with new demonstrations of their steps.

    A candidate has fewer demonstrations where the optimizer model could not write right ones. Each
    attempt is one batch for all candidates together.

    Args:
        candidates: The candidates, whose old demonstrations are replaced.
        search_context: Settings, problem, optimizer model and random source.
        shown_first: By a parent's id, the examples that its children show before any other.
    """
    settings, problem = search_context.settings, search_context.problem
    made: list[list[Demonstration]] = [[] for _ in candidates]
    unused = [
        iter(_in_turn(shown_first.get(one.parent or "", ()), problem.train, search_context.rng))
        for one in candidates
    ]
    # All candidates share a batch: an attempt costs one round trip, however many they are.
    for _ in range(settings.demonstration_attempts):
        orders = [
            (at, example)
            for at, shown in enumerate(made)
            for example in islice(unused[at], settings.demonstrations - len(shown))
        ]
        written = await search_context.ask(
            [demonstrate(problem, candidates[at].prompt.steps, example) for at, example in orders],
            partial(_checked, problem.grader, orders),
        )
        for (at, _example), demonstration in zip(orders, written, strict=True):
            made[at] += [demonstration] if demonstration else []
    return [
        replace(candidate, prompt=replace(candidate.prompt, demonstrations=tuple(shown)))
        for candidate, shown in zip(candidates, made, strict=True)
    ]


async def _checked(
    grader: Grader,
    orders: Sequence[tuple[int, Example]],
    written: Sequence[tuple[int, Demonstration]],
) -> list[str]:
    """Return the faults of demonstrations, given by the places of their orders."""
    return await faults(grader, [(shown, orders[at][1]) for at, shown in written])


def spread(examples: Sequence[Example], rng: Random) -> list[Example]:
    """Return the examples shuffled, and so that answers alternate [ours].

    Demonstrations that all answer "Yes" would teach the model to answer "Yes".
    """
    turns: Counter[str] = Counter()
    turn_by_id = {}
    shuffled = some(examples, len(examples), rng)
    for example in shuffled:
        answer = "".join(example.answers[:1])
        turn_by_id[example.id] = turns[answer]
        turns[answer] += 1
    return sorted(shuffled, key=lambda example: turn_by_id[example.id])


def _in_turn(first: Sequence[Example], examples: Sequence[Example], rng: Random) -> list[Example]:
    known = {example.id for example in first}
    return spread(first, rng) + spread(
        [example for example in examples if example.id not in known], rng
    )
