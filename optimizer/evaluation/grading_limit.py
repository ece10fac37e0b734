"""How many answers a budget covers the grading of, before they are there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from optimizer.graders.judging.judge import Judge
from optimizer.protocols import Limited
from optimizer.tasks.locked import example_bytes
from optimizer.types import Example, Request


@dataclass(frozen=True)
class GradingLimit:
    """The judges of a task's grader, and the budget of their calls."""

    judges: Sequence[Judge[object]]
    limited: Limited
    answer_bytes: int
    """Most bytes of an answer that they are shown."""

    def fitting(self, examples: Sequence[Example]) -> int:
        """Return of how many of these examples, counted from the first, answers can be graded.

        Each is counted with the most that its first questions can cost; whether a reply has to be
        asked for again is not known beforehand.
        """
        calls = sum(judge.votes for judge in self.judges)
        if not calls or self.limited.covers(calls * len(examples)):
            return len(examples)
        requests = [
            request
            for example in examples
            for request in requests_at_most(self.judges, example_bytes(example), self.answer_bytes)
        ]
        # Numbered, as equal requests would count as one.
        distinct = [replace(request, sample=number) for number, request in enumerate(requests)]
        return self.limited.fitting(distinct) // calls


def requests_at_most(
    judges: Sequence[Judge[object]], example_bytes: int, answer_bytes: int
) -> list[Request]:
    """Return requests that cost what the grading of one answer can cost at most."""
    return [
        request
        for judge in judges
        for request in judge.requests_at_most(example_bytes, answer_bytes)
    ]
