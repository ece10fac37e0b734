"""A prompt: instruction, numbered steps, demonstrations.

Renders to chat messages; reads a response back step by step.

The labelled form is fixed: a line `Step 2: ...` a step and a last line `Answer: ...`. It is what
demonstrations show, what the target model is asked to write, and what localisation reads. Knows
nothing of models or of scoring.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from optimizer.errors import DataError
from optimizer.types import Message

Form = Literal["text", "list", "number", "numbers", "points"]
"""What a step's result looks like: anything; entries joined by ';'; one number; entries that each
end in a number, or in (x,y).
"""
ANSWER_LABEL = "Answer:"
_BLOCK = re.compile(r"^[ \t]*Step (\d{1,3})[ \t]*:[ \t]*", re.MULTILINE)
ANSWER_LINE = re.compile(
    r"^[ \t>#*_-]*(?:(?:the|my) )?(?:final |correct )?answer[ \t*_]*[:\uff1a](?P<answer>[^\n]*)$",
    re.MULTILINE | re.IGNORECASE,
)
"""An `Answer:` line, in whatever decoration a model gives it: **Answer**: X, ### Final Answer: X, >
Answer: X.
"""
_THOUGHT = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_THINKS = re.compile(r"\s*<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
# No pattern here has two parts that can share what they match: a response of a megabyte takes no
# more than its length.
_NUMBER = re.compile(r"\d\.?$")
_POINT = re.compile(r"\(-?\d+, ?-?\d+\)\.?$")


@dataclass(frozen=True)
class Step:
    """One numbered step and the form of its checkable result."""

    text: str
    form: Form = "text"


@dataclass(frozen=True)
class Demonstration:
    """A question and the response that follows the prompt's steps."""

    input: str
    response: str


@dataclass(frozen=True)
class Trace:
    """A response read back: `block_by_step` keeps the first block of each number, in the order
    written.
    """

    block_by_step: Mapping[int, str]
    answer: str | None

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(self.block_by_step)


@dataclass(frozen=True)
class Prompt:
    """`instruction` stands first, the numbered `steps` under it, `closing` last; demonstrations
    follow as chat turns.
    """

    instruction: str = ""
    steps: tuple[Step, ...] = ()
    demonstrations: tuple[Demonstration, ...] = ()
    closing: str = ""

    @property
    def id(self) -> str:
        """Ten hex digits that depend on all of the prompt's content."""
        return hashlib.sha256(
            json.dumps(self.to_json(), sort_keys=True).encode("utf-8", "surrogatepass")
        ).hexdigest()[:10]

    def text(self) -> str:
        """The system message: everything but the demonstrations."""
        numbered = [f"{number}. {step.text}" for number, step in enumerate(self.steps, 1)]
        return "\n".join(part for part in (self.instruction, *numbered, self.closing) if part)

    def render(self, input: str) -> tuple[Message, ...]:
        """The chat messages for one input: system, a user and an assistant turn a demonstration,
        and the input.
        """
        shown = [
            turn
            for demonstration in self.demonstrations
            for turn in (
                Message("user", demonstration.input),
                Message("assistant", demonstration.response),
            )
        ]
        system = [Message("system", self.text())] if self.text() else []
        return (*system, *shown, Message("user", input))

    def with_step(self, number: int, *new: Step) -> "Prompt":
        """The prompt with step `number` (from 1) replaced by `new`; every other step word for
        word.
        """
        return replace(self, steps=(*self.steps[: number - 1], *new, *self.steps[number:]))

    def to_json(self) -> dict[str, Any]:
        return {
            "instruction": self.instruction,
            "steps": [{"text": step.text, "form": step.form} for step in self.steps],
            "demonstrations": [
                {"input": d.input, "response": d.response} for d in self.demonstrations
            ],
            "closing": self.closing,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Prompt":
        """Raises DataError where `data` is not what `to_json` gives."""
        try:
            prompt = cls(
                str(data["instruction"]),
                tuple(Step(**step) for step in data["steps"]),
                tuple(Demonstration(**shown) for shown in data["demonstrations"]),
                str(data["closing"]),
            )
            _check_types(prompt)
            return prompt
        except (KeyError, TypeError) as problem:
            raise DataError(
                f"This is not a promptray prompt: {problem}. Use a file from a results folder's "
                "best/."
            ) from problem


def _check_types(prompt: Prompt) -> None:
    """Raises TypeError where a part that came from outside is no text, or a form is none of
    ours.
    """
    texts = [
        *(step.text for step in prompt.steps),
        *(text for one in prompt.demonstrations for text in (one.input, one.response)),
    ]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a step or a demonstration holds something that is no text")
    if odd := [step.form for step in prompt.steps if step.form not in get_args(Form)]:
        raise TypeError(f"there is no form {odd[0]!r} of a step")


def without_thinking(response: str) -> str:
    """Return what a reasoning model says after it has thought: what stands behind the last closing
    tag of its thinking.

    A response that begins to think and does not come to an end has said nothing yet.
    """
    if (thought := next(reversed(list(_THOUGHT.finditer(response))), None)) is not None:
        return response[thought.end() :]
    return "" if _THINKS.match(response) else response


def read_trace(response: str) -> Trace:
    """Return the labelled blocks and the final answer of a response; the last `Answer:` line
    counts, and thinking does not.
    """
    response = without_thinking(response)
    answers = list(ANSWER_LINE.finditer(response))
    body = response[: answers[-1].start()] if answers else response
    labels = list(_BLOCK.finditer(body))
    ends = [*(label.start() for label in labels), len(body)][1:]
    blocks: dict[int, str] = {}
    for label, end in zip(labels, ends, strict=True):
        blocks.setdefault(int(label[1]), body[label.end() : end].strip())
    return Trace(blocks, answers[-1]["answer"].strip(" \t*_").strip() if answers else None)


def has_form(block: str, form: Form) -> bool:
    """Whether a block looks like its step's result."""
    entries = [entry.strip() for entry in block.split(";")]
    checks = {
        "text": bool(block.strip()),
        "list": all(entries),
        "number": bool(_NUMBER.search(block.strip())),
        "numbers": all(_NUMBER.search(entry) for entry in entries),
        "points": all(_POINT.search(entry) for entry in entries),
    }
    return checks[form]


def followed_steps(prompt: Prompt, trace: Trace) -> tuple[bool, ...]:
    """For each step of the prompt: is it present in the trace, in order, and in its form?

    In order means: no step of a lower number stands behind it. (methods.md calls the share of these
    adherence.)
    """
    order = trace.order
    return tuple(
        number in trace.block_by_step
        and has_form(trace.block_by_step[number], step.form)
        and all(later > number for later in order[order.index(number) + 1 :])
        for number, step in enumerate(prompt.steps, 1)
    )


def adherence(prompt: Prompt, responses: list[str]) -> float | None:
    """Share of (response, step) pairs that are followed; None for a prompt without steps, or
    without responses.
    """
    followed = [
        step for response in responses for step in followed_steps(prompt, read_trace(response))
    ]
    return sum(followed) / len(followed) if followed else None


def adherence_by_step(prompt: Prompt, responses: list[str]) -> tuple[float, ...]:
    """Share of the responses that follow each step, in the order of the steps; empty where
    `adherence` is None.
    """
    rows = [followed_steps(prompt, read_trace(response)) for response in responses]
    return tuple(sum(column) / len(column) for column in zip(*rows, strict=True))
