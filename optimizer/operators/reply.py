"""Reading the optimizer model's replies: the last complete tag counts, and what cannot be used says why.

Knows the output forms that the templates ask for. Knows no model, and does not ask again: that is asking.py.
"""

import re
from typing import get_args

from optimizer.operators.template import unescape
from optimizer.prompt import Form, Step

MAX_PROMPT_CHARACTERS = 6000
"""Longer prompts are refused: repeated editing makes prompts grow without end (OPRO drops above 500) [ours]."""
MAX_TAG_CHARACTERS = 20_000
"""Whatever is asked for, what is longer is no answer to it, and would go into every later question [ours]."""
MAX_STEPS = 12
"""More steps than this are a plan for the optimizer model, not for a weak target [ours]."""
_FORMS = {form: form for form in get_args(Form)}
_LINE = re.compile(r"^[ \t]*(?:\d{1,3}[.)]|[-*])[ \t]+(.*)$", re.MULTILINE)


class Unreadable(ValueError):
    """A reply that is not of its operator's form; the message completes "Your reply cannot be used: ..."."""


def read_tag(reply: str, tag: str) -> str:
    """What stands in the last complete `<tag>...</tag>`, unescaped and stripped. Raises Unreadable if there is none or it is empty.

    The last one counts because a model may think aloud, and quote the form, before it answers.
    """
    before, closing, _ = reply.rpartition(f"</{tag}>")
    _, opening, inside = before.rpartition(f"<{tag}>")
    if not (closing and opening):
        raise Unreadable(f"it has no <{tag}>...</{tag}>")
    if not inside.strip():
        raise Unreadable(f"its <{tag}> is empty")
    if len(inside) > MAX_TAG_CHARACTERS:
        raise Unreadable(f"its <{tag}> is longer than {MAX_TAG_CHARACTERS} characters")
    return unescape(inside.strip())


def read_prompt(reply: str) -> str:
    """The new prompt of a reply. Raises Unreadable for a missing or an overlong one."""
    prompt = read_tag(reply, "prompt")
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise Unreadable(f"its <prompt> is longer than {MAX_PROMPT_CHARACTERS} characters")
    return prompt


def read_reason(reply: str) -> str:
    """The criticism of a reply. Raises Unreadable."""
    return read_tag(reply, "reason")


def read_causes(reply: str) -> str:
    """The causes of a reply, one line `- cause` each, no cause twice. Raises Unreadable where there is none."""
    causes = dict.fromkeys(line[1].strip() for line in _LINE.finditer(read_tag(reply, "causes")) if line[1].strip())
    if not causes:
        raise Unreadable("its <causes> has no line of the form '- cause'")
    return "\n".join(f"- {cause}" for cause in causes)


def read_steps(reply: str, at_most: int = MAX_STEPS) -> tuple[Step, ...]:
    """The steps of a reply, one from each line `1. text [form]` or `- text [form]`; a word in brackets that is no form is text.

    Raises Unreadable where there is no such line, or more than `at_most`.
    """
    steps = tuple(step for line in _LINE.finditer(read_tag(reply, "steps")) if (step := _step(line[1].strip(" \t"))).text)
    if not steps:
        raise Unreadable("its <steps> has no line of the form '1. text [form]'")
    if len(steps) > at_most:
        raise Unreadable(f"its <steps> has {len(steps)} steps, and at most {at_most} are allowed")
    return steps


def _step(line: str) -> Step:
    text, opening, word = line.rpartition("[")
    form = _FORMS.get(word[:-1].lower()) if opening and word.endswith("]") else None
    return Step(text.rstrip(" \t"), form) if form else Step(line)
