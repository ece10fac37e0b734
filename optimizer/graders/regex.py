"""Regex: a text that a target, a pattern, matches from end to end."""

from dataclasses import dataclass

from optimizer.errors import DataError, shortened
from optimizer.graders.base import AnswerGrader, first_right
from optimizer.graders.reading.answers import FinalAnswer, bare
from optimizer.graders.reading.patterns import compiled, why_unusable
from optimizer.types import Example


@dataclass(frozen=True)
class Regex(AnswerGrader):
    """A text that a pattern matches; patterns are checked when the task is loaded."""

    accepts = "a text that a target, a pattern, matches from end to end"

    def from_line(self, final: FinalAnswer, example: Example) -> str | None:
        """Return the text of an answer line."""
        line = final.explicit or ""
        return first_right([line.strip(), bare(line)], self.is_right, example)

    def from_text(self, final: FinalAnswer, example: Example) -> str | None:
        """Return the last line, or what stands behind "the answer is"."""
        closing = (final.closing.splitlines() or [""])[-1]
        return first_right(
            [final.last_line, bare(final.last_line), closing, bare(final.sentence or "")],
            self.is_right,
            example,
        )

    def is_right(self, answer: str, example: Example) -> bool:
        """Return whether a pattern matches the answer."""
        return any(compiled(pattern).matches(answer) for pattern in example.answers)


def check_pattern(pattern: str, example_id: str) -> None:
    """Check that the regex grader can use a pattern in bounded time.

    Raises:
        DataError: If it cannot; the message names the example.
    """
    if fault := why_unusable(pattern):
        raise DataError(
            f"The target {shortened(pattern)!r} of example {shortened(example_id)} {fault}."
        )
