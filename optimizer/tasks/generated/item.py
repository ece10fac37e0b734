"""What a generated task offers: items whose right intermediate values are known, step by step.

Knows nothing of models or prompts. A *kind* is one checkable step of a procedure ("positions",
"running_total"); its *block* is the text that a worked solution shows for it. Blocks are lists of
entries joined by "; ", one entry a unit of the input.
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
        """The right answer, as a model should write it."""

    @property
    def size(self) -> int:
        """How many units (moves, things, people) the question has: its difficulty."""

    def question(self) -> str:
        """The question as text; `GeneratedTask.read` turns it back into an equal item."""

    def work(self, kinds: Sequence[str]) -> dict[str, str]:
        """The block of every kind asked for, in the order given.

        A kind may lean on another: without it the block is what a solver would write who had not
        done that other step (positions without the direction kept take every step as forward), so
        it can be wrong although it is followed.
        """

    def conclude(self, kinds: Sequence[str]) -> str | None:
        """The answer that follows from these blocks, right or wrong; None where they leave nothing
        but a guess.
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
    """The item behind a question's text, or None for a text of some other task."""
    scorer: str
    """Name of the scorer that judges its answers."""
