"""Values that pass between the parts: frozen, picklable, comparable.

Knows no model, no file and no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
Purpose = Literal["learn", "validate", "propose", "test", "grade", "grade_test"]
"""Purpose of a call: errors to learn from, dev scores to select by, proposals of the optimizer
model, the final test, and answers that a model grades: those of a search, and those of the final
test.
"""
FailureKind = Literal["infrastructure", "refused"]
Verdict = Literal["right", "partial", "wrong", "unparsable", "truncated", "refused", "missing"]
"""The kind of a score.

`right` scores 1, and `partial` less than that and more than 0. `missing` is an infrastructure
failure, of the target or of a model that grades: it never counts against a prompt. All others
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
    row: Mapping[str, Any] | None = field(default=None, hash=False)
    """The row of the example that is asked, without its target, for a model that is a program of
    its own; None for all other models.
    """


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

    `answers` are all accepted; `choices` are the allowed answers where the task has them. A task
    without known answers has none, and a grader that needs none.
    """

    id: str
    input: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    history: tuple[Message, ...] = ()
    """The turns of a chat that stand before the input, behind the prompt's own messages."""
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The whole row that the example comes from, as JSON values; empty where there is no row."""


@dataclass(frozen=True)
class Score:
    """The score of a response."""

    verdict: Verdict
    answer: str = ""
    """What was read from the response; "" if nothing."""
    credit: float | None = None
    """Share of the full score, 0.0 to 1.0, where a grader gives partial credit; use `graded` to
    make such a score. None: what the verdict says.
    """
    feedback: str = ""
    """Text for the optimizer model: what is wrong with the response, or right."""

    @property
    def value(self) -> float | None:
        """Return the score from 0.0 to 1.0, None where there was no answer to score."""
        # An infrastructure failure is not a score.
        if self.verdict == "missing":
            return None
        return float(self.verdict == "right") if self.credit is None else self.credit


def graded(credit: float, answer: str = "", feedback: str = "") -> Score:
    """Return the score of an answer with partial credit.

    Args:
        credit: Share of the full score, 0.0 to 1.0.
        answer: What was read from the response.
        feedback: Text for the optimizer model.

    Raises:
        ValueError: If the credit is outside of 0.0 to 1.0, or no number.
    """
    if not 0.0 <= credit <= 1.0:
        raise ValueError(f"A score is between 0.0 and 1.0, not {credit}.")
    verdict: Verdict = "right" if credit == 1.0 else "partial" if credit else "wrong"
    return Score(verdict, answer, float(credit), feedback)


@dataclass(frozen=True)
class Answer:
    """The target model's answer to one example under one prompt."""

    example: Example
    text: str
    score: Score
    prompt_tokens: int | None = field(default=None, compare=False)
    """Tokens of the request; None, here and below, where they are not known."""
    completion_tokens: int | None = field(default=None, compare=False)

    @property
    def is_error(self) -> bool:
        """Return whether a search can learn from it: it was scored, and less than fully right.

        What infrastructure failed to give is no error of a prompt.
        """
        value = self.score.value
        return value is not None and value < 1.0

    @property
    def is_right(self) -> bool:
        """Return whether it has the full score."""
        return self.score.value == 1.0
