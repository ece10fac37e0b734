"""Number: the same value as a target, in digits or in words."""

import re
from dataclasses import dataclass
from fractions import Fraction

from optimizer.graders.base import AnswerGrader
from optimizer.graders.reading.answers import FinalAnswer, bare, first_sentence
from optimizer.graders.reading.numbers import (
    as_number,
    number_concluded,
    number_given,
    numbers_in,
    plain,
)
from optimizer.types import Example

_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")


@dataclass(frozen=True)
class Number(AnswerGrader):
    """The same value as a target."""

    accepts = "the same value as a target, in digits or in words"
    answer_line = "End with a last line 'Answer: X', where X is the number alone."

    def from_line(self, final: FinalAnswer, example: Example) -> str | None:
        """Return the number of an answer line."""
        return _as_text(number_given(bare(final.explicit or "")))

    def from_text(self, final: FinalAnswer, example: Example) -> str | None:
        """Return the number of "the answer is", or one of the closing paragraph.

        From the closing paragraph it is the last number of the last sentence that has any.
        """
        given = number_given(bare(first_sentence(final.sentence))) if final.sentence else None
        if given is None:
            sentences = reversed(_SENTENCES.split(final.closing))
            given = next(
                (number_concluded(sentence) for sentence in sentences if numbers_in(sentence)),
                None,
            )
        return _as_text(given)

    def is_right(self, answer: str, example: Example) -> bool:
        """Return whether the answer has the value of a target."""
        return as_number(answer) in {as_number(accepted) for accepted in example.answers} - {None}


def _as_text(number: Fraction | None) -> str | None:
    return None if number is None else plain(number)
