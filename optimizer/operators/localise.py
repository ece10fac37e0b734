"""Localise: ask which step failed first in a response, how, and by what evidence.

ABO, arXiv 2402.02101, section 6.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from optimizer.operators.asking import Question
from optimizer.prompt import Step
from optimizer.questions.reply import Unreadable, read_tag
from optimizer.questions.template import attempted, fill, load, numbered
from optimizer.questions.told import AboutTask, is_plain, told_with_baseline
from optimizer.types import Answer

Kind = Literal["skipped", "wrong", "ambiguous"]
"""How a step failed: not done; done with a false result; done as written, but the step does not
state what is needed.
"""
_TEMPLATE = load("localise")
_KINDS = {kind: kind for kind in get_args(Kind)}
_NUMBER = re.compile(r"\d{1,3}")


@dataclass(frozen=True)
class Blame:
    """The first failing step of a response, counted from 1."""

    step: int
    kind: Kind
    evidence: str


def localise(task: AboutTask, steps: Sequence[Step], error: Answer) -> Question[Blame]:
    """Ask where the target model's wrong answer went wrong first."""
    text = fill(
        _TEMPLATE,
        task=told_with_baseline(task),
        steps=numbered(steps),
        examples=attempted([error], not is_plain(task)),
    )
    return Question(text, partial(_read, steps=len(steps)))


def _read(reply: str, steps: int) -> Blame:
    number = _NUMBER.search(read_tag(reply, "step"))
    if number is None or not 1 <= int(number[0]) <= steps:
        raise Unreadable(f"its <step> is not one number from 1 to {steps}")
    kind = _KINDS.get(read_tag(reply, "kind").strip(" .").lower())
    if kind is None:
        raise Unreadable(f"its <kind> is none of {', '.join(_KINDS)}")
    return Blame(int(number[0]), kind, read_tag(reply, "evidence"))
