"""Score model: a model gives an answer a number on a scale, by a rubric."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from optimizer.errors import SettingsError, shortened
from optimizer.graders.judging.judge import Judge, Unreadable, Vote, tagged
from optimizer.graders.judging.question import (
    RubricQuestion,
    TemplateQuestion,
    check_judge,
    question_of,
)
from optimizer.graders.judging.template import ItemData
from optimizer.types import Message, Score, graded

_NUMBER = re.compile(r"[-+]?[0-9]{1,9}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True)
class ScoreModel(Judge[float]):
    """Scores an answer by the mean of the votes, on a scale that becomes 0.0 to 1.0."""

    rubric: str = ""
    """What makes an answer good, in words; it may name {{ item.FIELD }}."""
    messages: Sequence[Mapping[str, Any]] | None = None
    """Messages of one's own in place of the rubric's question, as templates."""
    scale: Sequence[float] = (0.0, 1.0)
    """The worst and the best number that the judge may give."""
    pass_threshold: float | None = None
    """On the scale; with it an answer is right if it reaches that, and else wrong."""
    gold: bool = True
    """Show the judge the target, where an example has one."""
    votes: int = 1
    model: Any = None
    """The judge's model, as `target` names one; None takes the optimizer model."""
    temperature: float | None = None
    """None takes 0, and 0.7 for several votes."""
    max_tokens: int = 512
    human: str = "human"
    """The column with the number that people gave to the answer in `human_answer`."""
    human_answer: str = "human_answer"

    def __post_init__(self) -> None:
        if len(self.scale) != 2 or not -1e6 <= self.scale[0] < self.scale[1] <= 1e6:
            raise SettingsError("A score_model's scale is two numbers, the lower one first.")
        low, high = self.scale
        if self.pass_threshold is not None and not low <= self.pass_threshold <= high:
            raise SettingsError("The pass_threshold of a score_model lies on its scale.")
        check_judge(self)

    @property
    def accepts(self) -> str:
        """Return which answer is right."""
        low, high = (f"{end:g}" for end in self.scale)
        rubric = f" by this rubric: {self.rubric}" if self.rubric else ""
        return f"an answer to which a judge gives {high} on a scale from {low}{rubric}"

    def question(self, data: ItemData) -> tuple[Message, ...]:
        """Return the messages that ask about one output."""
        return self._question.messages(data)

    def most_bytes(self, example_bytes: int, answer_bytes: int) -> tuple[int, ...]:
        """Return the most bytes that each message can have."""
        return self._question.most_bytes(example_bytes, answer_bytes)

    def read(self, reply: str) -> Vote[float]:
        """Return the number of a reply, and the reason."""
        given, (low, high) = tagged("score", reply), self.scale
        if given is None:
            raise Unreadable("it has no <score>...</score>")
        if not _NUMBER.fullmatch(given):
            raise Unreadable(f"{shortened(given, 60)!r} is not a number alone")
        if not low <= float(given) <= high:
            raise Unreadable(f"{given} is not from {low:g} to {high:g}")
        return Vote(float(given), shortened(tagged("reason", reply) or "", 1_000))

    def decided(self, votes: Sequence[Vote[float]]) -> Score:
        """Return the mean of the votes, with the reason of the vote that is nearest to it."""
        low, high = self.scale
        mean = min(high, max(low, fmean(vote.value for vote in votes)))
        value = (mean - low) / (high - low)
        if self.pass_threshold is not None:
            value = float(mean >= self.pass_threshold)
        nearest = min(votes, key=lambda vote: abs(vote.value - mean))
        feedback = f"{mean:g} of {high:g}" + (f": {nearest.reason}" if nearest.reason else "")
        return graded(value, f"{mean:g}", feedback)

    @cached_property
    def _question(self) -> RubricQuestion | TemplateQuestion:
        low, high = (f"{end:g}" for end in self.scale)
        form = (
            f"Give your reason in one or two sentences, then a number from {low} (worst) to {high} "
            "(best). Reply in exactly this form:\n<reason>...</reason>\n<score>...</score>"
        )
        return question_of(self, form)
