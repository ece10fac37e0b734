"""Exact: the same text as a target, but for case, white space and a closing full stop."""

from dataclasses import dataclass

from optimizer.graders.base import AnswerGrader, first_right, folded
from optimizer.graders.reading.answers import FinalAnswer, bare, first_sentence
from optimizer.types import Example


@dataclass(frozen=True)
class Exact(AnswerGrader):
    """The same text as a target."""

    accepts = "the same text as a target, but for case, white space and a closing full stop"

    def from_line(self, final: FinalAnswer, example: Example) -> str | None:
        """Return the text of an answer line, or its first sentence.

        Where the target has several lines, all behind the label counts too.
        """
        line = final.explicit or ""
        block = [bare(final.block)] if _has_lines(example) else []
        return first_right([bare(line), bare(first_sentence(line)), *block], same, example)

    def from_text(self, final: FinalAnswer, example: Example) -> str | None:
        """Return what stands behind "the answer is", or the last line."""
        return text_concluded(final, example)

    def is_right(self, answer: str, example: Example) -> bool:
        """Return whether the answer is the text of a target."""
        return same(answer, example)


def text_concluded(final: FinalAnswer, example: Example) -> str | None:
    """Return the text that a response concludes with where it gives no answer explicitly."""
    sentence, lines = final.sentence or "", final.closing.splitlines() or [""]
    block = [bare(final.closing)] if _has_lines(example) else []
    readings = [sentence, first_sentence(sentence), lines[-1], final.last_line]
    return first_right([*map(bare, readings), *block], same, example)


def same(answer: str, example: Example) -> bool:
    """Return whether an answer is the text of a target, with the marks around it or without."""
    given = {folded(answer), folded(bare(answer))}
    return any(
        not given.isdisjoint({folded(accepted), folded(bare(accepted))})
        for accepted in example.answers
    )


def _has_lines(example: Example) -> bool:
    return any("\n" in accepted.strip() for accepted in example.answers)
