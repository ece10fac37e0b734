"""Choice: the right one of the example's choices, named by its letter or its text."""

from dataclasses import dataclass

from optimizer.graders.base import AnswerGrader, first_right
from optimizer.graders.exact import same, text_concluded
from optimizer.graders.reading.answers import FinalAnswer, bare, first_sentence
from optimizer.graders.reading.choices import choice_concluded, choice_named
from optimizer.types import Example


@dataclass(frozen=True)
class Choice(AnswerGrader):
    """The right one of the choices."""

    accepts = "the right one of the example's choices, named by its letter or its text"
    answer_line = "End with a last line 'Answer: X', where X is one of the choices, alone."

    def from_line(self, final: FinalAnswer, example: Example) -> str | None:
        """Return the choice that an answer line names."""
        return _choice_of(final.explicit or "", example)

    def from_text(self, final: FinalAnswer, example: Example) -> str | None:
        """Return the choice that a response concludes with."""
        if not example.choices:
            return text_concluded(final, example)
        named = _choice_of(final.sentence, example) if final.sentence else None
        named = (
            named
            or choice_named(bare(final.last_line), example.choices, loosely=False)
            or _off_list(final.last_line, example)
        )
        return named or choice_concluded(final.closing, example.choices)

    def is_right(self, answer: str, example: Example) -> bool:
        """Return whether the answer is the choice that a target names."""
        accepted = {
            choice_named(target, example.choices, loosely=False) for target in example.answers
        } - {None}
        return answer in accepted or same(answer, example)


def _choice_of(line: str, example: Example) -> str | None:
    if not example.choices:
        return first_right([bare(line), bare(first_sentence(line))], same, example)
    plain_line = bare(line)
    return (
        choice_named(plain_line, example.choices, loosely=False)
        or _off_list(line, example)
        or choice_named(plain_line, example.choices)
    )


def _off_list(line: str, example: Example) -> str | None:
    """Return an accepted answer that is none of the choices: such data exists, and it is right."""
    return bare(line) if same(line, example) else None
