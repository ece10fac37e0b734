"""The parts of a generated task: items whose right intermediate values are known, step by step.

A *kind* is one checkable step of a procedure ("positions", "running_total"); its *block* is the
text that a worked solution shows for it. Blocks are lists of entries joined by "; ", one entry for
each unit of the input. Knows nothing of models or prompts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

SEPARATOR = "; "


class Item(Protocol):
    """One question of a generated task, understood."""

    @property
    def answer(self) -> str:
        """Return the right answer, as a model should write it."""

    @property
    def size(self) -> int:
        """Return the number of units (moves, things, people) of the question: its difficulty."""

    def question(self) -> str:
        """Return the question as text; `GeneratedTask.read` turns it back into an equal item."""

    def work(self, kinds: Sequence[str]) -> dict[str, str]:
        """Return the block of each of these kinds, in the order given.

        A kind may depend on another: without it the block is what a solver would write who had not
        done that other step (positions without the direction of each move take every step as
        forward), so it can be wrong although the step was followed.
        """

    def conclude(self, kinds: Sequence[str]) -> str | None:
        """Return the answer that follows from these blocks, right or wrong.

        It is None where they leave nothing but a guess.
        """


@dataclass(frozen=True)
class GeneratedTask:
    """A task that makes its own examples."""

    name: str
    description: str
    """One sentence, shown to people and to the optimizer model."""
    kinds: tuple[str, ...]
    """The steps of the full procedure, in order."""
    answers: tuple[str, ...]
    """The possible answers where they are few, for a guess; empty for numbers."""
    generate: Callable[[Random], Item]
    read: Callable[[str], Item | None]
    """Returns the item behind a question's text, or None for a text of some other task."""
    scorer: str
    """Name of the scorer of its answers."""
