"""Values that pass between the parts: frozen, picklable, comparable.

Knows no model, no file and no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]
Purpose = Literal["learn", "validate", "propose", "test"]
"""Purpose of a call: errors to learn from, dev scores to select by, proposals of the optimizer
model, the final test.
"""
FailureKind = Literal["infrastructure", "refused"]
Verdict = Literal["right", "wrong", "unparsable", "truncated", "refused", "missing"]
"""The result of scoring an answer.

`missing` is an infrastructure failure: it never counts against a prompt. All others but `right`
score 0.
"""


@dataclass(frozen=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of a request."""

    temperature: float = 0.0
    max_tokens: int = 512


@dataclass(frozen=True)
class Request:
    """One call of a model.

    `sample` numbers independent draws of the same messages, so that two samples stay two requests
    for the ledger.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    sample: int = 0
    purpose: Purpose = "learn"
    raw: bool = False
    """The content of the one message goes to the model without the model's chat template."""


@dataclass(frozen=True)
class Completion:
    """A model's answer."""

    text: str
    truncated: bool = False
    """The answer ended at max_tokens."""
    prompt_tokens: int | None = 0
    """Tokens of the request. None, here and below, means unknown; never count it as zero."""
    completion_tokens: int | None = 0
    from_ledger: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Facts that an engine reports about itself, such as that it is a stand-in."""
    cached_tokens: int | None = field(default=None, compare=False)
    """Prompt tokens that the engine took from its prefix cache; None where it does not report them.
    Not a part of the answer: it depends on the requests before.
    """
    repeated: bool = field(default=False, compare=False)
    """The trial had this answer already, or requested it twice in one batch: it cost nothing."""


@dataclass(frozen=True)
class Failed:
    """A call that gave no answer, after all retries."""

    kind: FailureKind
    reason: str
    prompt_tokens: int | None = field(default=0, kw_only=True, compare=False)
    """Tokens that were charged all the same, as for a refusal that came as a reply; None means
    unknown.
    """
    completion_tokens: int | None = field(default=0, kw_only=True, compare=False)
    repeated: bool = field(default=False, kw_only=True, compare=False)
    """The trial had this outcome already: it cost nothing."""


Outcome = Completion | Failed


@dataclass(frozen=True)
class Example:
    """One item of a task.

    `answers` are all accepted; `choices` are the allowed answers where the task has them.
    """

    id: str
    input: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """The score of a response: `answer` is what was read from it, "" if nothing."""

    verdict: Verdict
    answer: str = ""

    @property
    def value(self) -> float | None:
        """Return 1.0 for right, 0.0 for not right, None where there was no answer to score."""
        # An infrastructure failure is not a score.
        return None if self.verdict == "missing" else float(self.verdict == "right")


@dataclass(frozen=True)
class Answer:
    """The target model's answer to one example under one prompt."""

    example: Example
    text: str
    score: Score
