"""The rulebook's phrase book: for each step how to ask for it, its signs, and what it depends on.

Written independently of the wordings that the built-in target was trained on, though in the same
language. Knows no answers: what is written from it is only as good as what evaluation selects.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.prompt import Form
from optimizer.tasks.generated import GENERATED, GeneratedTask


@dataclass(frozen=True)
class Entry:
    """One kind of step."""

    phrases: tuple[str, ...]
    """Ways to ask for it, in the imperative, without a full stop."""
    form: Form
    signs: str
    """A pattern: a text that matches it asks for this kind. The first kind that matches counts,
    so narrow ones stand first.
    """
    missing: str
    """A critic's words when the responses do not have it."""
    leans_on: tuple[str, ...] = ()
    """Kinds without which its result may be false."""
    often_forgotten: bool = False
    """A first plan of the task overlooks it more often than not."""


PHRASEBOOK: dict[str, dict[str, Entry]] = {
    "navigate": {
        "compare": Entry(
            (
                "Compare the final position with the starting point",
                "Check if the last position is (0,0)",
                "Say whether the end point is the starting point",
            ),
            "text",
            r"compare|\b(if|whether)\b.*(\bstart|\(0,0\)|\bbegan|\borigin)|same (point|place)",
            "the end is never compared with the start",
            ("positions",),
        ),
        "positions": Entry(
            (
                "Write the position after each move, starting at (0,0)",
                "Keep track of the coordinates after every move",
                "After each instruction, give your coordinates",
                "Note where you are after every move as (x,y)",
            ),
            "points",
            r"position|coordinate|where you are|location",
            "the position after each move is not written down",
            ("facing",),
        ),
        "facing": Entry(
            (
                "Write the direction you face after each move",
                "Keep track of the facing direction after every turn",
                "Note which way you face after each move",
            ),
            "list",
            r"\b(direction|facing|face|heading|compass)\b",
            "the direction that one faces is not kept after turns",
            often_forgotten=True,
        ),
        "moves": Entry(
            (
                "List all the moves in order",
                "Write out every move of the route",
                "Name each move, one after another",
            ),
            "list",
            r"\b(moves?|instructions?|route)\b",
            "the moves are not listed",
        ),
    },
    "object_counting": {
        "kind": Entry(
            (
                "Say for each item whether it is of the kind asked for",
                "Mark every thing that counts with yes, and the others with no",
                "Decide for each item if it belongs to the kind in the question",
            ),
            "list",
            r"\bkind\b|belong|\bcounts?\b.*\b(yes|no)\b|that counts?|leave out|asked for",
            "things of another kind are not left out",
            often_forgotten=True,
        ),
        "running_total": Entry(
            (
                "Keep a running total after each item",
                "Add the numbers item by item and write each sum",
                "Note the total so far after every item",
            ),
            "numbers",
            r"running|so far|\b(add|sum)\b",
            "no running total is kept",
            ("kind",),
        ),
        "report": Entry(
            ("State the final total", "Say what the total is"),
            "text",
            r"\btotal\b",
            "the total is not stated",
            ("running_total",),
        ),
        "items": Entry(
            (
                "List each item with its number",
                "Write every thing and how many of it there are",
                "Turn the list into items and numbers",
            ),
            "numbers",
            r"\bitems?\b|\bthings?\b|quantit|how many",
            "the items are not listed with their numbers",
        ),
    },
    "web_of_lies": {
        "verdict": Entry(
            (
                "Report whether the last person tells the truth",
                "State the result for the last person",
            ),
            "text",
            r"last person",
            "nothing is said of the last person",
            ("honesty",),
        ),
        "honesty": Entry(
            (
                "For each person, write truth or lies",
                "Decide person by person who tells the truth",
                "Follow the chain and note whether each person is honest",
            ),
            "list",
            r"truth|honest|\blie",
            "it is not worked out, person by person, who tells the truth",
            ("statements",),
        ),
        "statements": Entry(
            ("List every statement", "Write down who says what"),
            "list",
            r"statement|says what",
            "the statements are not listed",
        ),
    },
    "coin_flip": {
        "final_side": Entry(
            ("Say which side is up at the end", "State the final side of the coin"),
            "text",
            r"\b(final|end|last)\b",
            "the final side is not stated",
            ("sides",),
        ),
        "sides": Entry(
            (
                "Write the side of the coin after each person",
                "Keep track of heads or tails after every flip",
            ),
            "list",
            r"\bside\b|heads|tails|state",
            "the side after each person is not written down",
            ("acts",),
        ),
        "acts": Entry(
            ("List who flips the coin", "Note for each person whether they flip"),
            "list",
            r"flip",
            "it is not listed who flips",
        ),
    },
}
STRONGER = (
    ", one by one",
    ", explicitly",
    ", one by one, and never skip this",
    ", in writing, and leave none out",
)
"""Tails of a request that was not followed, each stronger than the one before."""
VAGUE = (
    "Think carefully",
    "Be precise",
    "Take your time",
    "Check your work",
    "Read the question closely",
    "Reason logically",
    "Pay attention to details",
)
"""Advice from prior belief: it asks for nothing that can be seen."""
STOCK_REASONS = (
    "The prompt does not ask the model to think carefully enough.",
    "The instruction is too vague about how to reason.",
    "The model makes mistakes because it is not told to check its work.",
    "The prompt should stress attention to details.",
)
"""Criticism from prior belief, whatever the errors are (Ma et al., section 4)."""
GENERIC_STEPS: tuple[tuple[str, Form], ...] = (
    ("Write down the facts that the question gives", "text"),
    ("Say what is asked for", "text"),
    ("Work towards the answer one fact at a time", "text"),
    ("Check the result against the facts", "text"),
)
"""The plan for a task that the phrase book does not have."""
SYNONYMS = (
    ("List", "Write down"),
    ("Write", "Give"),
    ("Keep track of", "Follow"),
    ("Note", "State"),
    ("each", "every"),
    ("every", "each"),
    ("step by step", "one step at a time"),
    ("Let's think", "Let us think"),
    ("carefully", "with care"),
    ("Say", "State"),
)


_LONGEST_SENTENCE = 2000


def task_behind(inputs: Sequence[str]) -> GeneratedTask | None:
    """Return the task in the phrase book that most of these inputs belong to, or None."""
    for task in GENERATED.values():
        understood = sum(task.read(text) is not None for text in inputs)
        if inputs and 2 * understood > len(inputs):
            return task
    return None


def kind_of(text: str, task: GeneratedTask) -> str | None:
    """Return the kind of step that a sentence asks for, None for advice that asks for none."""
    # Some signs search from one word for another, which takes the square of the length.
    text = text[:_LONGEST_SENTENCE]
    for kind, entry in PHRASEBOOK[task.name].items():
        if re.search(entry.signs, text, re.IGNORECASE):
            return kind
    return None


def sentences(prompt: str) -> list[str]:
    """Return a prompt's sentences, without numbers and full stops."""
    parts = re.split(r"(?<=[.!?])\s+|\n", prompt)
    return [re.sub(r"^\d+\.\s*", "", part).strip(" .") for part in parts if part.strip(" .")]
