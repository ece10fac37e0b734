"""String check: two texts, made of templates, are compared as OpenAI's grader of that name does."""

from dataclasses import dataclass
from typing import Literal, get_args

from optimizer.errors import shortened
from optimizer.graders.base import PureGrader, said
from optimizer.graders.judging.template import DataTemplate, ItemData
from optimizer.types import Completion, Example, Score
from optimizer.validators import one_of

Operation = Literal["eq", "ne", "like", "ilike"]


@dataclass(frozen=True)
class StringCheck(PureGrader):
    """Compares `input` with `reference`.

    `eq`: the same text; `ne`: another one; `like`: it contains the reference; `ilike`: so, in any
    case. White space around the texts does not count.
    """

    operation: Operation = "eq"
    reference: str = "{{ item.target }}"
    input: str = "{{ sample.output_text }}"

    def __post_init__(self) -> None:
        one_of(get_args(Operation), operation=self.operation)
        DataTemplate(self.reference)
        DataTemplate(self.input)

    @property
    def accepts(self) -> str:  # type: ignore[override]
        """Return which answer is right."""
        how = {"eq": "is", "ne": "is not", "like": "contains", "ilike": "contains, in any case,"}
        return f"an answer where {self.input} {how[self.operation]} {self.reference}"

    def fault_of(self, example: Example) -> str:
        """Return "": what an example must have is named by the templates."""
        return ""

    def score(self, response: Completion, example: Example) -> Score:
        """Return 1 where the comparison holds, else 0."""
        data = ItemData(example, said(response))
        given, wanted = (
            DataTemplate(text).filled(data).strip() for text in (self.input, self.reference)
        )
        holds = {
            "eq": given == wanted,
            "ne": given != wanted,
            "like": wanted in given,
            "ilike": wanted.casefold() in given.casefold(),
        }[self.operation]
        if not holds and response.truncated:
            return Score("truncated")
        feedback = f"{shortened(given, 100)!r} is not {self.operation} {shortened(wanted, 100)!r}."
        return Score(
            "right" if holds else "wrong", shortened(given, 500), feedback="" if holds else feedback
        )
