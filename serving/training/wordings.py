"""Wordings that the built-in target model learns to read.

They are many ways to ask for one step, and vague advice that asks for none. The table is
wordings.yaml beside this file. The rulebook optimizer has a phrase book of its own.
"""

import re
from pathlib import Path
from random import Random

from serving.settings.yaml_text import read_yaml

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_TABLE = read_yaml(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
WORDINGS_BY_KIND: dict[str, list[str]] = _TABLE["kinds"]
FILLERS: list[str] = _TABLE["fillers"]
EMPHASIS: list[list[str]] = _TABLE["emphasis"]
"""Tails by strength: plain, explicit, emphatic. The target follows an emphatic step more often
than a plain one.
"""
HEADERS: list[str] = _TABLE["headers"]
ANSWER_LINES: list[str] = _TABLE["answer_lines"]


def word(grammar: str, rng: Random) -> str:
    """Return one sentence of a grammar, without capital or full stop.

    In a grammar `[a|b]` stands for one of its choices.
    """
    while match := _CHOICE.search(grammar):
        grammar = (
            grammar[: match.start()] + rng.choice(match[1].split("|")) + grammar[match.end() :]
        )
    return " ".join(grammar.split())


def sentence(text: str) -> str:
    """Return the text with a capital and a full stop."""
    return text[:1].upper() + text[1:] + "."


def filler(rng: Random) -> str:
    """Return a sentence of vague advice."""
    return sentence(word(rng.choice(FILLERS), rng))


def request(kind: str, strength: int, rng: Random) -> str:
    """Return a sentence that asks for a kind of step; strength 0 plain, 1 explicit, 2 emphatic."""
    return sentence(word(rng.choice(WORDINGS_BY_KIND[kind]), rng) + rng.choice(EMPHASIS[strength]))
