"""Scores of outcomes: what was the final answer, and is it accepted?

The answer that a response gives is read in optimizer.graders.reading; each scorer decides what of
it is an answer of its kind, and whether there is none. A response that was cut off before it gave
an answer explicitly is truncated, whatever it holds. Knows no model; never raises for a bad
response.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from unicodedata import normalize

from optimizer.errors import DataError, shortened
from optimizer.graders.choices import choice_concluded, choice_named
from optimizer.graders.imported import as_grader
from optimizer.graders.numbers import as_number, number_concluded, number_given, numbers_in, plain
from optimizer.graders.patterns import compiled, why_unusable
from optimizer.graders.reading import FinalAnswer, bare, final_answer, first_sentence
from optimizer.prompt import ANSWER_LABEL, Prompt, without_thinking
from optimizer.protocols import Grader, Scorer
from optimizer.registry import Registry
from optimizer.types import Completion, Example, Failed, Outcome, Score

READ_CHARS = 20_000
"""Maximum number of characters read, from the end of a response: that bounds the time of every
search in it.
"""
Read = Callable[[FinalAnswer, Example], str | None]
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")


def judge(outcome: Outcome, example: Example, scorer: Scorer) -> Score:
    """Return the score of one call.

    An infrastructure failure is `missing`: it never counts against a prompt.
    """
    if isinstance(outcome, Failed):
        return Score("missing" if outcome.kind == "infrastructure" else "refused")
    return scorer(outcome, example)


@dataclass(frozen=True)
class AnswerScorer:
    """Reads and compares an answer: the explicit one, or else the one that a response concludes.

    What cannot be read as an answer is unparsable: a mention of an answer is none.
    """

    accepts: str
    """Which answer is right, for people."""
    from_line: Read
    """Reads an answer that is given explicitly (an `Answer:` line, a box, a tag ...); None if it
    is not of the right kind.
    """
    from_text: Read
    """Reads an answer from a response that gives none explicitly."""
    is_right: Callable[[str, Example], bool]
    answer_line: str = "End with a last line 'Answer: X', where X is the answer alone."
    """The sentence that makes a prompt's answers readable: how to end, and nothing of how to
    solve.
    """

    def __call__(self, response: Completion, example: Example) -> Score:
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
        if self(response, example).verdict == "right":
            return False
        final = final_answer(without_thinking(response.text)[-READ_CHARS:])
        if final.explicit is None or not self.from_line(final, example):
            return True
        given = f" {_words(final.explicit)} "
        return any(
            f" {_words(accepted)} " in given for accepted in example.answers if _words(accepted)
        )


def with_answer_line(prompt: Prompt, scorer: str) -> Prompt | None:
    """Return the prompt with the answer line added.

    Returns:
        None where the prompt has one already, or the scorer asks for none.
    """
    line = GRADERS[scorer].answer_line
    if not line or ANSWER_LABEL.casefold() in prompt.text().casefold():
        return None
    return replace(prompt, closing="\n".join(part for part in (prompt.closing, line) if part))


def check_pattern(pattern: str, example_id: str) -> None:
    """Check that the regex scorer can use a pattern in bounded time.

    Raises:
        DataError: If it cannot; the message names the example.
    """
    if fault := why_unusable(pattern):
        raise DataError(
            f"The target {shortened(pattern)!r} of example {shortened(example_id)} {fault}."
        )


def _words(text: str) -> str:
    """Return the text's words as they are compared, without what stands between them."""
    return " ".join(re.findall(r"\w+", _folded(text)))


def _folded(text: str) -> str:
    """Return the text as it is compared.

    It is composed, without case, in plain quotes, and with single spaces.
    """
    return " ".join(normalize("NFC", text).translate(_QUOTES).split()).casefold()


def _first_right(
    readings: Iterable[str], is_right: Callable[[str, Example], bool], example: Example
) -> str | None:
    """Return the first of several ways to read one answer that is right, or else the first."""
    known = [reading for reading in readings if reading.strip()]
    return next(
        (reading for reading in known if is_right(reading, example)), next(iter(known), None)
    )


def _exact_line(final: FinalAnswer, example: Example) -> str | None:
    """Return the text of an answer line, or its first sentence.

    Where the target has several lines, all behind the label counts too.
    """
    line = final.explicit or ""
    block = (
        [bare(final.block)] if any("\n" in accepted.strip() for accepted in example.answers) else []
    )
    return _first_right([bare(line), bare(first_sentence(line)), *block], _exact_right, example)


def _exact_text(final: FinalAnswer, example: Example) -> str | None:
    sentence, lines = final.sentence or "", final.closing.splitlines() or [""]
    block = (
        [bare(final.closing)]
        if any("\n" in accepted.strip() for accepted in example.answers)
        else []
    )
    readings = [sentence, first_sentence(sentence), lines[-1], final.last_line]
    return _first_right([*map(bare, readings), *block], _exact_right, example)


def _exact_right(answer: str, example: Example) -> bool:
    given = {_folded(answer), _folded(bare(answer))}
    return any(
        not given.isdisjoint({_folded(accepted), _folded(bare(accepted))})
        for accepted in example.answers
    )


def _number_line(final: FinalAnswer, example: Example) -> str | None:
    return _as_text(number_given(bare(final.explicit or "")))


def _number_text(final: FinalAnswer, example: Example) -> str | None:
    """Return the number of "the answer is", or one of the closing paragraph.

    From the closing paragraph it is the last number of the last sentence that has any.
    """
    given = number_given(bare(first_sentence(final.sentence))) if final.sentence else None
    if given is None:
        sentences = reversed(_SENTENCES.split(final.closing))
        given = next(
            (number_concluded(sentence) for sentence in sentences if numbers_in(sentence)), None
        )
    return _as_text(given)


def _as_text(number: Fraction | None) -> str | None:
    return None if number is None else plain(number)


def _number_right(answer: str, example: Example) -> bool:
    return as_number(answer) in {as_number(accepted) for accepted in example.answers} - {None}


def _choice_line(final: FinalAnswer, example: Example) -> str | None:
    return _choice_of(final.explicit or "", example)


def _choice_text(final: FinalAnswer, example: Example) -> str | None:
    if not example.choices:
        return _exact_text(final, example)
    named = _choice_of(final.sentence, example) if final.sentence else None
    named = (
        named
        or choice_named(bare(final.last_line), example.choices, loosely=False)
        or _off_list(final.last_line, example)
    )
    return named or choice_concluded(final.closing, example.choices)


def _choice_of(line: str, example: Example) -> str | None:
    if not example.choices:
        return _first_right([bare(line), bare(first_sentence(line))], _exact_right, example)
    plain_line = bare(line)
    return (
        choice_named(plain_line, example.choices, loosely=False)
        or _off_list(line, example)
        or choice_named(plain_line, example.choices)
    )


def _off_list(line: str, example: Example) -> str | None:
    """Return an accepted answer that is none of the choices: such data exists, and it is right."""
    return bare(line) if _exact_right(line, example) else None


def _choice_right(answer: str, example: Example) -> bool:
    accepted = {
        choice_named(target, example.choices, loosely=False) for target in example.answers
    } - {None}
    return answer in accepted or _exact_right(answer, example)


def _pattern_line(final: FinalAnswer, example: Example) -> str | None:
    line = final.explicit or ""
    return _first_right([line.strip(), bare(line)], _pattern_right, example)


def _pattern_text(final: FinalAnswer, example: Example) -> str | None:
    closing = (final.closing.splitlines() or [""])[-1]
    return _first_right(
        [final.last_line, bare(final.last_line), closing, bare(final.sentence or "")],
        _pattern_right,
        example,
    )


def _pattern_right(answer: str, example: Example) -> bool:
    """Return whether a pattern matches; patterns were checked when the task was loaded."""
    return any(compiled(pattern).matches(answer) for pattern in example.answers)


_TABLE: dict[str, Grader] = {
    "exact": AnswerScorer(
        "the same text as a target, but for case, white space and a closing full stop",
        _exact_line,
        _exact_text,
        _exact_right,
    ),
    "choice": AnswerScorer(
        "the right one of the example's choices, named by its letter or its text",
        _choice_line,
        _choice_text,
        _choice_right,
        "End with a last line 'Answer: X', where X is one of the choices, alone.",
    ),
    "number": AnswerScorer(
        "the same value as a target, in digits or in words",
        _number_line,
        _number_text,
        _number_right,
        "End with a last line 'Answer: X', where X is the number alone.",
    ),
    "regex": AnswerScorer(
        "a text that a target, a pattern, matches from end to end",
        _pattern_line,
        _pattern_text,
        _pattern_right,
    ),
}
GRADERS = Registry("scorer", _TABLE, "promptray.graders", as_grader)
"""Those of the table, and functions `(response, example) -> Score` that come from elsewhere."""
