"""Label model: a model chooses one of several labels for an answer, by a rubric."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class LabelModel(Judge[str]):
    """Scores an answer by the label that most votes give; of equal ones the lower score counts."""

    labels: Mapping[str, float] | Sequence[str]
    """Label -> score from 0 to 1, or the labels alone, with `passing_labels`."""
    passing_labels: Sequence[str] = ()
    """The labels that score 1, where `labels` has no scores; all others score 0."""
    rubric: str = ""
    """What each label means, in words; it may name {{ item.FIELD }}."""
    messages: Sequence[Mapping[str, Any]] | None = None
    """Messages of one's own in place of the rubric's question, as templates."""
    gold: bool = True
    """Show the judge the target, where an example has one."""
    votes: int = 1
    model: Any = None
    """The judge's model, as `target` names one; None takes the optimizer model."""
    temperature: float | None = None
    """None takes 0, and 0.7 for several votes."""
    max_tokens: int = 512
    human: str = "human"
    """The column with the label that people gave to the answer in `human_answer`."""
    human_answer: str = "human_answer"

    def __post_init__(self) -> None:
        names = [*self.labels]
        if len(names) < 2 or len({name.strip().casefold() for name in names}) < len(names):
            raise SettingsError("A label_model needs two or more labels, all of them different.")
        if isinstance(self.labels, Mapping):
            if self.passing_labels:
                raise SettingsError("Give labels with scores, or passing_labels: one of them.")
            if any(not 0 <= value <= 1 for value in self.labels.values()):
                raise SettingsError("The scores of labels are between 0.0 and 1.0.")
        elif not self.passing_labels or not set(self.passing_labels) <= set(names):
            raise SettingsError("passing_labels must be some of the labels, at least one.")
        check_judge(self)

    @property
    def value_by_label(self) -> dict[str, float]:
        """Return the score of each label."""
        if isinstance(self.labels, Mapping):
            return {name: float(value) for name, value in self.labels.items()}
        return {name: float(name in self.passing_labels) for name in self.labels}

    @property
    def accepts(self) -> str:
        """Return which answer is right."""
        best = [name for name, value in self.value_by_label.items() if value == 1.0]
        named = " or ".join(map(repr, best)) or "the best label"
        rubric = f" by this rubric: {self.rubric}" if self.rubric else ""
        return f"an answer that a judge labels {named}{rubric}"

    def question(self, data: ItemData) -> tuple[Message, ...]:
        """Return the messages that ask about one output."""
        return self._question.messages(data)

    def most_bytes(self, example_bytes: int, answer_bytes: int) -> tuple[int, ...]:
        """Return the most bytes that each message can have."""
        return self._question.most_bytes(example_bytes, answer_bytes)

    def read(self, reply: str) -> Vote[str]:
        """Return the label of a reply, and the reason."""
        given = tagged("label", reply)
        known = {name.strip().casefold(): name for name in self.labels}
        if given is None:
            raise Unreadable("it has no <label>...</label>")
        if (label := known.get(given.strip(" .\"'`*").casefold())) is None:
            raise Unreadable(
                f"{shortened(given, 60)!r} is none of the labels {', '.join(self.labels)}"
            )
        return Vote(label, shortened(tagged("reason", reply) or "", 1_000))

    def decided(self, votes: Sequence[Vote[str]]) -> Score:
        """Return the score of the label with most votes, with the reason of its first vote."""
        values, counts = self.value_by_label, Counter(vote.value for vote in votes)
        label = min(counts, key=lambda name: (-counts[name], values[name], name))
        reason = next((vote.reason for vote in votes if vote.value == label and vote.reason), "")
        return graded(values[label], label, f"{label}: {reason}" if reason else label)

    @cached_property
    def _question(self) -> RubricQuestion | TemplateQuestion:
        form = (
            "Give your reason in one or two sentences, then one label of these: "
            f"{', '.join(self.labels)}. Reply in exactly this form:\n"
            "<reason>...</reason>\n<label>...</label>"
        )
        return question_of(self, form)
