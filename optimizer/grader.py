"""What judges answers: the protocol of graders, and the simplest grader.

A root module of its own, since candidates and protocols both need it.
"""

from collections.abc import Sequence
from typing import Protocol

from optimizer.prompt import read_trace
from optimizer.types import Completion, Example, Score


class Grader(Protocol):
    """Judges responses, a batch at a time; it may call a model.

    It never raises for a bad response: that is a score. Where a model that grades gives no usable
    reply, the score is `missing`: a failure of the infrastructure never counts against a prompt.
    """

    @property
    def accepts(self) -> str:
        """Return which answer is right, for people and for the optimizer model."""

    @property
    def answer_line(self) -> str:
        """Return the line that makes a prompt's answers readable; "" where there is none."""

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        """Return one score for each response, in order.

        Raises:
            DataError: Code or data of the user is at fault; the sentence names the example.
            BudgetExhausted: It calls a model, and the budget does not cover that.
        """

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return whether a response that is not right may be so for its form alone."""


def same_text(response: Completion, example: Example) -> Score:
    """Score a response by its `Answer:` line, ignoring case."""
    given = read_trace(response.text).answer or ""
    right = given.casefold() in {accepted.strip().casefold() for accepted in example.answers}
    return Score("right" if right else "wrong", given)


class SameText:
    """The grader behind `same_text`."""

    accepts = "the same text as a target, but for case"
    answer_line = ""

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        """Return the scores of `same_text`."""
        return [same_text(response, example) for response, example in pairs]

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return False: the form is not looked at."""
        return False
