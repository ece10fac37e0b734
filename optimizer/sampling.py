"""Random choices, from a generator that the caller passes in."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from optimizer.types import Answer

T = TypeVar("T")


def some(things: Sequence[T], at_most: int, rng: Random) -> list[T]:
    """Return a random choice without repeats, in random order.

    All things are returned, shuffled, where there are no more than `at_most`.
    """
    return rng.sample(things, min(at_most, len(things)))


def some_errors(errors: Sequence[Answer], at_most: int, rng: Random) -> list[Answer]:
    """Return a random choice of errors without repeats, in which low scores come more often.

    Errors that all score the same are drawn as `some` draws. Of others each is drawn with a weight
    of what it lacks of the full score (Efraimidis and Spirakis 2006), so that a choice shows the
    worst of them, and seldom one that is nearly right [ours].
    """
    lacks = [1.0 - (error.score.value or 0.0) for error in errors]
    if len(set(lacks)) <= 1:
        return some(errors, at_most, rng)
    keys = [rng.random() ** (1.0 / lack) if lack > 0 else 0.0 for lack in lacks]
    order = sorted(range(len(errors)), key=lambda at: -keys[at])
    return [errors[at] for at in order[:at_most]]
