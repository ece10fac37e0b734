"""Web of lies: a chain of people who claim of one another that they lie or tell the truth."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from optimizer.tasks.generated.item import SEPARATOR, GeneratedTask
from optimizer.tasks.generated.people import draw_names

_FIRST = re.compile(r"\b(\w+) (tells the truth|lies)\.")
_SAYS = re.compile(r"\b(\w+) says \w+ (tells the truth|lies)\.")
_ASK = re.compile(r"Does (\w+) tell the truth\?")


@dataclass(frozen=True)
class Chain:
    """A chain of people and claims; True means: tells the truth.

    `claims[0]` is what is known of the first person; `claims[i]` is the claim of person i about
    person i-1.
    """

    people: tuple[str, ...]
    claims: tuple[bool, ...]
    prefix: bool = True

    @property
    def answer(self) -> str:
        """Return "Yes" if the last person tells the truth."""
        return "Yes" if self._honest()[-1] else "No"

    @property
    def size(self) -> int:
        """Return the number of people."""
        return len(self.people)

    def question(self) -> str:
        """Return the question as text."""
        words = ["tells the truth" if claim else "lies" for claim in self.claims]
        statements = [f"{self.people[0]} {words[0]}."] + [
            f"{name} says {before} {word}."
            for before, name, word in zip(self.people, self.people[1:], words[1:], strict=False)
        ]
        return (
            f"{'Question: ' if self.prefix else ''}{' '.join(statements)} Does "
            f"{self.people[-1]} tell the truth?"
        )

    def work(self, kinds: Sequence[str]) -> dict[str, str]:
        """Return the block of each of these kinds."""
        claims = ["truth" if claim else "lies" for claim in self.claims]
        honest = ["truth" if honest else "lies" for honest in self._honest()]
        says = [f"{self.people[0]} {claims[0]}"] + [
            f"{name} says {before} {claim}"
            for before, name, claim in zip(self.people, self.people[1:], claims[1:], strict=False)
        ]
        blocks = {
            "statements": SEPARATOR.join(says),
            "honesty": SEPARATOR.join(
                f"{name} {word}" for name, word in zip(self.people, honest, strict=True)
            ),
            "verdict": f"{self.people[-1]} {honest[-1]}"
            if "honesty" in kinds
            else "nothing is known",
        }
        return {kind: blocks[kind] for kind in kinds}

    def conclude(self, kinds: Sequence[str]) -> str | None:
        """Return the answer that follows from blocks of these kinds."""
        return self.answer if "honesty" in kinds else None

    def _honest(self) -> list[bool]:
        return list(accumulate(self.claims, lambda honest, claim: honest == claim))


def generate(rng: Random) -> Chain:
    """Generate an item with 3 to 7 people; BIG-Bench Hard has 5."""
    size = rng.randint(3, 7)
    return Chain(
        tuple(draw_names(size, rng)),
        tuple(rng.random() < 0.5 for _ in range(size)),
        prefix=rng.random() < 0.7,
    )


def read(text: str) -> Chain | None:
    """Return the item behind a question's text, or None for another text."""
    first, says, ask = _FIRST.search(text), _SAYS.findall(text), _ASK.search(text)
    if not first or not ask:
        return None
    statements = [(first[1], first[2]), *says]
    return Chain(
        tuple(name for name, _ in statements),
        tuple(word != "lies" for _, word in statements),
        text.startswith("Question: "),
    )


WEB_OF_LIES = GeneratedTask(
    name="web_of_lies",
    description="Work out whether the last person of a chain of statements about honesty tells the "
    "truth.",
    kinds=("statements", "honesty", "verdict"),
    answers=("Yes", "No"),
    generate=generate,
    read=read,
    scorer="choice",
)
