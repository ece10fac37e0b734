"""Bases of the graders that decide by themselves, without a model."""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar
from unicodedata import normalize

from optimizer.errors import DataError, shortened
from optimizer.grader import Grader
from optimizer.graders.reading.answers import FinalAnswer, final_answer
from optimizer.prompt import ANSWER_LABEL, without_thinking
from optimizer.types import Completion, Example, Failed, Outcome, Score

READ_CHARS = 20_000
"""Maximum number of characters read, from the end of a response: that bounds the time of every
search in it.
"""
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


async def grade_outcomes(grader: Grader, pairs: Sequence[tuple[Outcome, Example]]) -> list[Score]:
    """Return the score of each call, in order; the answers that came are graded as one batch.

    An infrastructure failure is `missing`: it never counts against a prompt.
    """
    answered = [(outcome, example) for outcome, example in pairs if isinstance(outcome, Completion)]
    scores = iter(await grader.grade(answered) if answered else [])
    return [
        next(scores)
        if isinstance(outcome, Completion)
        else Score("missing" if outcome.kind == "infrastructure" else "refused")
        for outcome, _ in pairs
    ]


def score_outcome(grader: "PureGrader", outcome: Outcome, example: Example) -> Score:
    """Return the score of one call under a grader that calls no model."""
    if isinstance(outcome, Failed):
        return Score("missing" if outcome.kind == "infrastructure" else "refused")
    return grader.score(outcome, example)


def expect_gradable(name: str, grader: "PureGrader", examples: Iterable[Example]) -> None:
    """Check that the grader of this name can grade answers to these examples.

    Raises:
        DataError: It cannot; the sentence names the first such example.
    """
    for example in examples:
        if fault := grader.fault_of(example):
            raise DataError(
                f"Example {shortened(example.id)} {fault}, which the grader {name} needs."
            )


def pure_part(grader: Grader) -> "PureGrader | None":
    """Return a grader that calls no model, and nothing of others; None for any other.

    It may be asked at any time, about any number of answers.
    """
    if isinstance(grader, PureGrader):
        return grader
    pure = getattr(grader, "pure", None)
    return pure if isinstance(pure, PureGrader) else None


class PureGrader(ABC):
    """A grader that decides by itself, at once: the same response always gets the same score."""

    accepts: str
    """Which answer is right, for people and for the optimizer model."""
    answer_line: str = ""
    """The sentence that makes a prompt's answers readable: how to end, and nothing of how to
    solve.
    """

    @abstractmethod
    def score(self, response: Completion, example: Example) -> Score:
        """Return the score of a response; never raises for a bad one."""

    slow: ClassVar[bool] = False
    """It takes more than a moment for a long response, so that a batch is graded in a thread."""

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        """Return one score for each response, in order."""
        if self.slow:
            return await asyncio.to_thread(self._graded, pairs)
        return self._graded(pairs)

    def _graded(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        return [self.score(response, example) for response, example in pairs]

    def fault_of(self, example: Example) -> str:
        """Return why an example cannot be graded, as the end of a sentence; "" where it can."""
        return "" if example.answers else "has no target"

    def is_right(self, answer: str, example: Example) -> bool:
        """Return whether an answer alone, on an answer line, is accepted."""
        return self.score(Completion(f"{ANSWER_LABEL} {answer}"), example).verdict == "right"

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return False: what form a response should have is not known."""
        return False


class AnswerGrader(PureGrader):
    """Reads and compares an answer: the explicit one, or else the one that a response concludes.

    What cannot be read as an answer is unparsable: a mention of an answer is none. A response that
    was cut off before it gave an answer explicitly is truncated, whatever it holds.
    """

    answer_line: str = "End with a last line 'Answer: X', where X is the answer alone."

    @abstractmethod
    def from_line(self, final: FinalAnswer, example: Example) -> str | None:
        """Return an answer that is given explicitly (an `Answer:` line, a box, a tag ...).

        None if it is not of the right kind.
        """

    @abstractmethod
    def from_text(self, final: FinalAnswer, example: Example) -> str | None:
        """Return an answer of a response that gives none explicitly."""

    @abstractmethod
    def is_right(self, answer: str, example: Example) -> bool:
        """Return whether an answer that was read is accepted."""

    def score(self, response: Completion, example: Example) -> Score:
        """Return the score of a response."""
        final = final_answer(without_thinking(response.text)[-READ_CHARS:])
        # Without an explicit answer the text that was cut off might have had another.
        if response.truncated and final.explicit is None:
            return Score("truncated")
        answer = (
            self.from_text(final, example)
            if final.explicit is None
            else self.from_line(final, example)
        )
        # Not wrong: a grader that cannot read an answer knows nothing about it.
        if not answer:
            return Score("unparsable")
        return Score("right" if self.is_right(answer, example) else "wrong", answer)

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return whether a response that is not right may be so for its form alone.

        It does not give its answer as the answer line asks, or what it gives has an accepted answer
        in it that is not read. A response that gives a wrong answer in the right form is wrong for
        its content: the answer line would not change it.
        """
        if self.score(response, example).verdict == "right":
            return False
        final = final_answer(without_thinking(response.text)[-READ_CHARS:])
        if final.explicit is None or not self.from_line(final, example):
            return True
        given = f" {words(final.explicit)} "
        return any(
            f" {words(accepted)} " in given for accepted in example.answers if words(accepted)
        )


def said(response: Completion) -> str:
    """Return the part of a response that is looked at: its end, without its reasoning."""
    return without_thinking(response.text)[-READ_CHARS:]


def said_last(response: Completion) -> str:
    """Return the text behind the label of the last `Answer:` line, or the whole response."""
    return final_answer(said(response)).block


def words(text: str) -> str:
    """Return the text's words as they are compared, without what stands between them."""
    return " ".join(re.findall(r"\w+", folded(text)))


def folded(text: str) -> str:
    """Return the text as it is compared.

    It is composed, without case, in plain quotes, and with single spaces.
    """
    return " ".join(normalize("NFC", text).translate(_QUOTES).split()).casefold()


def first_right(
    readings: Iterable[str], is_right: Callable[[str, Example], bool], example: Example
) -> str | None:
    """Return the first of several ways to read one answer that is right, or else the first."""
    known = [reading for reading in readings if reading.strip()]
    return next(
        (reading for reading in known if is_right(reading, example)), next(iter(known), None)
    )
