"""Random choices, from a generator that the caller passes in."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def some(things: Sequence[T], at_most: int, rng: Random) -> list[T]:
    """Return a random choice without repeats, in random order.

    All things are returned, shuffled, where there are no more than `at_most`.
    """
    return rng.sample(things, min(at_most, len(things)))
