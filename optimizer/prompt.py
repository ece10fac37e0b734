"""A prompt: instruction, numbered steps, demonstrations.

It renders to chat messages, and reads a response back step by step. The labelled form is fixed: a
line `Step 2: ...` for each step and a last line `Answer: ...`. Demonstrations show this form, the
target model must write it, and localisation reads it. Knows nothing of models or of scoring.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from optimizer.errors import DataError
from optimizer.types import Message

Form = Literal["text", "list", "number", "numbers", "points"]
"""The checkable form of a step's result.

`text`: anything that is not empty; `list`: entries joined by ';'; `number`: text that ends in a
digit; `numbers`: entries joined by ';' that each end in a digit; `points`: entries joined by ';'
that each end in (x,y).
"""
SEED_INSTRUCTION = "Let's think step by step."
"""Zero-shot chain of thought (Kojima et al. 2022, arXiv 2205.11916); the baseline of Ma et
al. 2024, arXiv 2402.02101.
"""
ANSWER_LABEL = "Answer:"
_BLOCK = re.compile(r"^[ \t]*Step (\d{1,3})[ \t]*:[ \t]*", re.MULTILINE)
ANSWER_LINE = re.compile(
    r"^[ \t>#*_-]*(?:(?:the|my) )?(?:final |correct )?answer[ \t*_]*[:\uff1a](?P<answer>[^\n]*)$",
    re.MULTILINE | re.IGNORECASE,
)
"""An `Answer:` line, with any decoration a model may add: **Answer**: X, ### Final Answer: X, >
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
    """A question with a response that follows the prompt's steps."""

    input: str
    response: str


@dataclass(frozen=True)
class Trace:
    """A response split into its labelled blocks and its answer.

    `block_by_step` has the first block of each step number, in the order written.
    """

    block_by_step: Mapping[int, str]
    answer: str | None

    @property
    def order(self) -> tuple[int, ...]:
        """Return the step numbers in the order written."""
        return tuple(self.block_by_step)


@dataclass(frozen=True)
class Prompt:
    """An instruction, numbered steps and a closing line; demonstrations follow as chat turns."""

    instruction: str = ""
    steps: tuple[Step, ...] = ()
    demonstrations: tuple[Demonstration, ...] = ()
    closing: str = ""
    opening: str = ""
    """The line that leads from an instruction to the steps behind it; "" where the instruction does
    that itself.
    """

    @property
    def id(self) -> str:
        """Return ten hex digits that depend on all of the prompt's content."""
        return hashlib.sha256(
            json.dumps(self.to_json(), sort_keys=True).encode("utf-8", "surrogatepass")
        ).hexdigest()[:10]

    def text(self) -> str:
        """Return the system message: everything but the demonstrations."""
        numbered = [f"{number}. {step.text}" for number, step in enumerate(self.steps, 1)]
        opening = f"\n{self.opening}" if self.opening and self.instruction else self.opening
        parts = (self.instruction, opening, *numbered, self.closing)
        return "\n".join(part for part in parts if part)

    def render(self, input: str, history: Sequence[Message] = ()) -> tuple[Message, ...]:
        """Return the chat messages for one input.

        Args:
            input: The last user turn.
            history: The turns of a chat that stand before it.

        Returns:
            The system message (unless it is empty), a user and an assistant turn for each
            demonstration, the history, and the input as the last user turn.
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
        return (*system, *shown, *history, Message("user", input))

    def with_step(self, number: int, *new: Step) -> "Prompt":
        """Return the prompt with step `number` (from 1) replaced by the steps `new`.

        Every other step stays word for word.
        """
        return replace(self, steps=(*self.steps[: number - 1], *new, *self.steps[number:]))

    def to_json(self) -> dict[str, Any]:
        """Return the prompt as a JSON object."""
        given = {
            "instruction": self.instruction,
            "steps": [{"text": step.text, "form": step.form} for step in self.steps],
            "demonstrations": [
                {"input": d.input, "response": d.response} for d in self.demonstrations
            ],
            "closing": self.closing,
        }
        # Only where there is one, so that the ids of all other prompts stay what they were.
        return given | ({"opening": self.opening} if self.opening else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Prompt":
        """Build a prompt from what `to_json` returned.

        Raises:
            DataError: If `data` is not a prompt.
        """
        try:
            prompt = cls(
                str(data["instruction"]),
                tuple(Step(**step) for step in data["steps"]),
                tuple(Demonstration(**shown) for shown in data["demonstrations"]),
                str(data["closing"]),
                str(data.get("opening", "")),
            )
            _check_types(prompt)
            return prompt
        except (KeyError, TypeError) as problem:
            # Data from outside may be of any shape: a missing key and a wrong type are one mistake.
            raise DataError(
                f"This is not a promptray prompt: {problem}. Use a file from a results folder's "
                "best/."
            ) from problem


def _check_types(prompt: Prompt) -> None:
    """Check that a prompt from outside holds text only, and known forms.

    Raises:
        TypeError: If a part is not text, or a form is unknown.
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
    """Return the part of a response behind the last closing tag of the model's thinking.

    A response that begins to think and never ends its thinking gives "".
    """
    if (thought := next(reversed(list(_THOUGHT.finditer(response))), None)) is not None:
        return response[thought.end() :]
    return "" if _THINKS.match(response) else response


def read_trace(response: str) -> Trace:
    """Split a response into its labelled blocks and its final answer.

    The last `Answer:` line counts; text inside thinking tags does not.
    """
    # A model may try several answers while it thinks; only the text behind that counts.
    response = without_thinking(response)
    answers = list(ANSWER_LINE.finditer(response))
    body = response[: answers[-1].start()] if answers else response
    labels = list(_BLOCK.finditer(body))
    ends = [*(label.start() for label in labels), len(body)][1:]
    # The first block of a number counts: models repeat their steps in a summary at the end.
    blocks: dict[int, str] = {}
    for label, end in zip(labels, ends, strict=True):
        blocks.setdefault(int(label[1]), body[label.end() : end].strip())
    return Trace(blocks, answers[-1]["answer"].strip(" \t*_").strip() if answers else None)


def has_form(block: str, form: Form) -> bool:
    """Return whether a block has the form of its step's result (see Form).

    `number` checks only the end of the block: "the sum is 12." has the form too.
    """
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
    """Return for each step of the prompt whether the trace follows it.

    A step is followed if it is present, in order, and in its form. In order means that no step of a
    lower number stands behind it. (methods.md calls the share of followed steps adherence.)
    """
    order = trace.order
    return tuple(
        number in trace.block_by_step
        and has_form(trace.block_by_step[number], step.form)
        and all(later > number for later in order[order.index(number) + 1 :])
        for number, step in enumerate(prompt.steps, 1)
    )


def adherence(prompt: Prompt, responses: list[str]) -> float | None:
    """Return the share of (response, step) pairs that are followed, 0.0 to 1.0.

    Returns:
        The share, or None for a prompt without steps, or without responses.
    """
    followed = [
        step for response in responses for step in followed_steps(prompt, read_trace(response))
    ]
    return sum(followed) / len(followed) if followed else None


def adherence_by_step(prompt: Prompt, responses: list[str]) -> tuple[float, ...]:
    """Return the share of the responses that follow each step, in the order of the steps.

    The tuple is empty where `adherence` returns None.
    """
    rows = [followed_steps(prompt, read_trace(response)) for response in responses]
    return tuple(sum(column) / len(column) for column in zip(*rows, strict=True))
