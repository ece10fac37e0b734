"""Coin flip: people flip a coin or leave it; is it still heads up?

Wei et al. 2022, arXiv 2201.11903, section 5.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from optimizer.tasks.generated.item import SEPARATOR, GeneratedTask
from optimizer.tasks.generated.people import draw_names

START = "A coin is heads up."
ASK = "Is the coin still heads up?"
_ACT = re.compile(r"\b(\w+) (flips|does not flip) the coin\.")


@dataclass(frozen=True)
class Flips:
    """The people that had the coin, in order, and whether each flipped it."""

    people: tuple[str, ...]
    flipped: tuple[bool, ...]

    @property
    def answer(self) -> str:
        """Return "Yes" if the coin is heads up at the end."""
        return "Yes" if self._heads()[-1] else "No"

    @property
    def size(self) -> int:
        """Return the number of people."""
        return len(self.people)

    def question(self) -> str:
        """Return the question as text."""
        acts = [
            f"{name} {'flips' if flip else 'does not flip'} the coin."
            for name, flip in zip(self.people, self.flipped, strict=True)
        ]
        return f"{START} {' '.join(acts)} {ASK}"

    def work(self, kinds: Sequence[str]) -> dict[str, str]:
        """Return the block of each of these kinds."""
        sides = ["heads" if heads else "tails" for heads in self._heads()]
        blocks = {
            "acts": SEPARATOR.join(
                f"{name} {'flips' if flip else 'not'}"
                for name, flip in zip(self.people, self.flipped, strict=True)
            ),
            "sides": SEPARATOR.join(
                f"{name} {side}" for name, side in zip(self.people, sides, strict=True)
            ),
            "final_side": f"the coin is {sides[-1]} up"
            if "sides" in kinds
            else "the side is not known",
        }
        return {kind: blocks[kind] for kind in kinds}

    def conclude(self, kinds: Sequence[str]) -> str | None:
        """Return the answer that follows from blocks of these kinds."""
        return self.answer if "sides" in kinds else None

    def _heads(self) -> list[bool]:
        return list(accumulate(self.flipped, lambda heads, flip: heads != flip, initial=True))[1:]


def generate(rng: Random) -> Flips:
    """Generate an item with 2 to 8 people."""
    size = rng.randint(2, 8)
    return Flips(tuple(draw_names(size, rng)), tuple(rng.random() < 0.5 for _ in range(size)))


def read(text: str) -> Flips | None:
    """Return the item behind a question's text, or None for another text."""
    acts = _ACT.findall(text)
    return (
        Flips(tuple(name for name, _ in acts), tuple(act == "flips" for _, act in acts))
        if acts and ASK in text
        else None
    )


COIN_FLIP = GeneratedTask(
    name="coin_flip",
    description="Decide whether a coin is still heads up after each person has flipped it or left "
    "it alone.",
    kinds=("acts", "sides", "final_side"),
    answers=("Yes", "No"),
    generate=generate,
    read=read,
    scorer="choice",
)
