"""Readers of the optimizer model's replies.

The last complete tag counts, and a reply that cannot be used gives the reason. Knows the output
forms that the templates ask for. Knows no model, and does not repeat a question: that is asking.py.
"""

import re
from functools import cache
from typing import get_args

from optimizer.kept_parts import fault_of
from optimizer.prompt import Form, Step, without_thinking
from optimizer.questions.template import form_contents, unescape
from optimizer.questions.told import AboutTask, baseline_length, kept_by

MAX_PROMPT_CHARACTERS = 6000
"""Longer prompts are refused: repeated editing makes prompts grow without end (OPRO drops above
500) [ours].
"""
MAX_TAG_CHARACTERS = 20_000
"""Maximum length of the content of any tag [ours]: longer text is no answer, and would go into
every later question.
"""
_QUOTED = 60
"""Maximum number of characters of a line in a complaint."""
MAX_STEPS = 12
"""More steps than this are a plan for the optimizer model, not for a weak target [ours]."""
MOST_OF_BASELINE = 1.5
"""Where the baseline is long, a new prompt may be half as long again [ours]."""
MOST_GROWTH = 1.1
"""A prompt that is longer than that from the start may grow by a tenth with each proposal [ours].
"""
_FORMS = {form: form for form in get_args(Form)}
_ENTRY = re.compile(
    r"[ \t]*(?:[*_]{0,2}(?:step )?\d{1,3}[.):][*_]{0,2}[.:]?|[-*\u2022])(?:[ "
    r"\t]+(?P<text>[^\n]*))?$",
    re.IGNORECASE,
)
"""A line that begins a step or a cause: "1. text", "**1.** text", "1) text", "- text"."""
_FENCE = re.compile(r"(?P<marks>```|~~~)[^\n`]*\n(?P<inside>.*?)\n?[ \t]*(?P=marks)", re.DOTALL)
_FORM_AT_END = re.compile(r"\[[a-z]+\][.*_]*", re.IGNORECASE)


class Unreadable(ValueError):
    """A reply does not have its operator's form.

    The message completes "Your reply cannot be used: ...".
    """


def read_tag(reply: str, tag: str, most_characters: int = MAX_TAG_CHARACTERS) -> str:
    """Return the content of the last complete `<tag>...</tag>`, unescaped and stripped.

    A code fence around it is dropped. The last tag counts because a model may think aloud, and
    quote the form, before it answers.

    Raises:
        Unreadable: If there is no tag, or its content is empty, too long, or a placeholder of the
            form.
    """
    # From the end, without a pattern: it takes no more than the reply's length.
    before, closing, _ = without_thinking(reply).rpartition(f"</{tag}>")
    _, opening, inside = before.rpartition(f"<{tag}>")
    if not (closing and opening):
        raise Unreadable(f"it has no <{tag}>...</{tag}>")
    inside = _unfenced(inside.strip())
    if not inside:
        raise Unreadable(f"its <{tag}> is empty")
    if len(inside) > most_characters:
        raise Unreadable(f"its <{tag}> is longer than {most_characters} characters")
    if _folded(inside) in _placeholders():
        raise Unreadable(f"its <{tag}> is what stands in the form in place of an answer")
    return unescape(inside)


def read_only_tag(reply: str, tag: str, most_characters: int = MAX_TAG_CHARACTERS) -> str:
    """Return the content of a tag with which the reply ends.

    Raises:
        Unreadable: As `read_tag`, or if the reply goes on behind the tag: it may be cut off, or not
            be the answer yet.
    """
    inside = read_tag(reply, tag, most_characters)
    # Text behind the tag may be a second thought that was cut off.
    if reply.rpartition(f"</{tag}>")[2].strip(" \t\r\n`~"):
        raise Unreadable(f"it goes on behind </{tag}>")
    return inside


def most_characters(old: str, task: AboutTask = "") -> int:
    """Return the maximum length of a new prompt.

    It follows the baseline's length. A prompt that is longer already may grow a little.
    """
    most = max(MAX_PROMPT_CHARACTERS, int(MOST_OF_BASELINE * baseline_length(task)))
    return most if len(old) <= most else int(MOST_GROWTH * len(old))


def expect_accepted(prompt: str, task: AboutTask) -> str:
    """Return a new prompt that holds the task's fixed parts.

    Every new text of a search comes through here, and so does every step (`expect_apart`).

    Raises:
        Unreadable: If it leaves one out, changes, repeats or moves it.
    """
    if fault := fault_of(prompt, kept_by(task)):
        raise Unreadable(fault)
    return prompt


def expect_apart(steps: tuple[Step, ...], task: AboutTask) -> tuple[Step, ...]:
    """Return new steps that repeat no fixed part: it stands in the text before them.

    Raises:
        Unreadable: If they do.
    """
    text = "\n".join(step.text for step in steps)
    if any(part in text for part in kept_by(task)):
        raise Unreadable("its <steps> repeat a fixed part of the prompt, which stands before them")
    return steps


def read_prompt(reply: str, old: str = "", task: AboutTask = "") -> str:
    """Return the new prompt of a reply.

    Args:
        reply: The optimizer model's reply.
        old: The prompt to change, if any. Where it is overlong already, the new one may be a little
            longer than it.
        task: The task, whose fixed parts the new prompt must hold.

    Raises:
        Unreadable: If there is no prompt in the reply, an overlong one, or one without its fixed
            parts.
    """
    return expect_accepted(read_only_tag(reply, "prompt", most_characters(old, task)), task)


def read_reason(reply: str) -> str:
    """Return the criticism of a reply.

    Raises:
        Unreadable: If there is none.
    """
    return read_only_tag(reply, "reason")


def read_causes(reply: str) -> str:
    """Return the causes of a reply, one line `- cause` each, no cause twice.

    Raises:
        Unreadable: If there is none.
    """
    causes = dict.fromkeys(_entries(read_only_tag(reply, "causes"), "causes"))
    if not causes:
        raise Unreadable("its <causes> has no line of the form '- cause'")
    return "\n".join(f"- {cause}" for cause in causes)


def read_steps(reply: str, at_most: int = MAX_STEPS, task: AboutTask = "") -> tuple[Step, ...]:
    """Return the steps of a reply, one from each entry `1. text [form]` or `- text [form]`.

    Another word in brackets is text.

    Raises:
        Unreadable: If there is no such entry, there are more than `at_most`, a line belongs to none
            of them, or they repeat a fixed part of the task's prompt.
    """
    steps = tuple(
        step
        for entry in _entries(read_only_tag(reply, "steps"), "steps")
        if (step := _step(entry)).text
    )
    if not steps:
        raise Unreadable("its <steps> has no line of the form '1. text [form]'")
    if len(steps) > at_most:
        raise Unreadable(f"its <steps> has {len(steps)} steps, and at most {at_most} are allowed")
    return expect_apart(steps, task)


def _entries(text: str, tag: str) -> list[str]:
    """Return the entries of a list, each joined from its lines.

    A line that begins no entry continues the entry before it where that has not ended, or where the
    line is indented.

    Raises:
        Unreadable: For a line that is neither: it may be a step, and a procedure without one of its
            steps is another procedure.
    """
    entries: list[str] = []
    for line in text.splitlines():
        if found := _ENTRY.match(line):
            entries.append((found["text"] or "").strip(" \t"))
        elif words := line.strip():
            if not entries or _has_ended(entries[-1], indented=line[0].isspace()):
                raise Unreadable(
                    f"a line of its <{tag}> is no entry of the form that was asked for: "
                    f"{words[:_QUOTED]!r}"
                )
            entries[-1] = f"{entries[-1]} {words}"
    return [entry for entry in entries if entry]


def _has_ended(entry: str, indented: bool) -> bool:
    """Return whether an entry has ended.

    It ends with its form in brackets, or, before a line that is not indented, with its sentence.
    """
    form = "[" in entry and _FORM_AT_END.fullmatch(entry[entry.rfind("[") :])
    return bool(form) or (not indented and entry.endswith((".", "!", "?")))


def _unfenced(text: str) -> str:
    """Return the text without a code fence around all of it."""
    fence = _FENCE.fullmatch(text)
    return fence["inside"].strip() if fence else text


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


@cache
def _placeholders() -> frozenset[str]:
    """Return the placeholders in the templates' own forms, folded."""
    return frozenset(map(_folded, form_contents()))


def _step(line: str) -> Step:
    text, opening, word = line.rstrip(".*_ ").rpartition("[")
    form = _FORMS.get(word[:-1].lower()) if opening and word.endswith("]") else None
    return Step(text.rstrip(" \t"), form) if form else Step(line)
