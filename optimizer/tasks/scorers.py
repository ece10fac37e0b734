"""Outcomes -> scores: what was the final answer, and is it accepted? Knows no model; never raises for a bad response.

The final answer is the `Answer:` line (see optimizer.prompt). Where a response has none, each scorer takes what a reader would
take for its answer. A response that was cut off before any `Answer:` line is truncated, whatever else stands in it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from optimizer.errors import DataError, shortened
from optimizer.prompt import read_trace
from optimizer.protocols import Scorer
from optimizer.tasks.choices import choice_named, last_choice_in
from optimizer.tasks.numbers import as_number, numbers_in, plain
from optimizer.tasks.patterns import longest_text, why_unsafe
from optimizer.types import Completion, Example, Failed, Outcome, Score

READ_CHARS = 20_000
"""Only the end of a longer response is read: that bounds the time of every search in it."""
_ANSWER_IS = re.compile(r"\banswer(?: is|:)(.*)", re.IGNORECASE)
Read = Callable[[str, Example], str | None]


def judge(outcome: Outcome, example: Example, scorer: Scorer) -> Score:
    """The score of one call. An infrastructure failure is `missing`: it never counts against a prompt."""
    if isinstance(outcome, Failed):
        return Score("missing" if outcome.kind == "infrastructure" else "refused")
    return scorer(outcome, example)


@dataclass(frozen=True)
class AnswerScorer:
    """Reads an answer from the `Answer:` line, or else from the whole response, and compares it."""

    accepts: str
    """For people: what answer is right."""
    from_line: Read
    """The answer in the text of an `Answer:` line; None if there is none of the right kind."""
    from_text: Read
    """The same from a response without that line."""
    is_right: Callable[[str, Example], bool]

    def __call__(self, response: Completion, example: Example) -> Score:
        text = response.text[-READ_CHARS:]
        line = read_trace(text).answer
        if response.truncated and not line:
            return Score("truncated")
        answer = self.from_line(line, example) if line else self.from_text(text, example)
        if not answer:
            return Score("unparsable")
        return Score("right" if self.is_right(answer, example) else "wrong", answer)


def check_pattern(pattern: str, example_id: str) -> None:
    """Refuse a pattern that the regex scorer cannot use, or not in bounded time, with a DataError that names the example."""
    if fault := why_unsafe(pattern):
        raise DataError(f"The target {shortened(pattern)!r} of example {shortened(example_id)} {fault}.")


def _clean(text: str) -> str:
    """Without the marks that models put around an answer: emphasis, quotes, code marks, a closing full stop."""
    return text.strip().strip("*_`\"' \t").removesuffix(".").rstrip("*_`\"' \t")


def _folded(text: str) -> str:
    return " ".join(_clean(text).split()).casefold()


def _lines_backwards(text: str) -> Iterator[str]:
    return (line.strip() for line in reversed(text.splitlines()) if line.strip())


def _said(text: str) -> str | None:
    """What stands behind the last "the answer is", if anything."""
    said = (found.strip(" \t").removeprefix(":").lstrip(" \t") for found in _ANSWER_IS.findall(text))
    return next((found for found in reversed(list(said)) if found.strip()), None)


def _exact_line(line: str, example: Example) -> str | None:
    return _clean(line)


def _exact_text(text: str, example: Example) -> str | None:
    return _clean(_said(text) or next(_lines_backwards(text), ""))


def _exact_right(answer: str, example: Example) -> bool:
    return _folded(answer) in {_folded(accepted) for accepted in example.answers}


def _number_line(line: str, example: Example) -> str | None:
    """The number of the line: the first one, or the result where the line is a calculation."""
    result, numbers = numbers_in(line.rpartition("=")[2]), numbers_in(line)
    if not numbers:
        return None
    return plain(result[0] if len(result) == 1 else numbers[0])


def _number_text(text: str, example: Example) -> str | None:
    said = _number_line(_said(text) or "", example)
    numbers = numbers_in(text)
    return said or (plain(numbers[-1]) if numbers else None)


def _number_right(answer: str, example: Example) -> bool:
    return as_number(answer) in {as_number(accepted) for accepted in example.answers} - {None}


def _choice_line(line: str, example: Example) -> str | None:
    if not example.choices:
        return _clean(line)
    bare = _clean(line)
    return choice_named(bare, example.choices, loosely=False) or _off_list(line, example) or choice_named(bare, example.choices)


def _choice_text(text: str, example: Example) -> str | None:
    if not example.choices:
        return _exact_text(text, example)
    said, last = _said(text), _clean(next(_lines_backwards(text), ""))
    named = _choice_line(said, example) if said else None
    named = named or choice_named(last, example.choices, loosely=False) or _off_list(last, example)
    return named or last_choice_in(text, example.choices)


def _off_list(line: str, example: Example) -> str | None:
    """An accepted answer that is none of the choices: such data exists, and to say it is right."""
    return _clean(line) if _exact_right(line, example) else None


def _choice_right(answer: str, example: Example) -> bool:
    accepted = {choice_named(target, example.choices, loosely=False) for target in example.answers} - {None}
    return answer in accepted or _exact_right(answer, example)


def _pattern_line(line: str, example: Example) -> str | None:
    return line.strip()


def _pattern_text(text: str, example: Example) -> str | None:
    return next(_lines_backwards(text), None)


def _pattern_right(answer: str, example: Example) -> bool:
    return any(_matches(pattern, answer) for pattern in example.answers)


def _matches(pattern: str, answer: str) -> bool:
    compiled, longest = _compiled(pattern)
    return len(answer) <= longest and compiled.fullmatch(answer) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> tuple[re.Pattern[str], int]:
    """The pattern, and the longest answer that it may be matched with."""
    check_pattern(pattern, "of this task")
    return re.compile(pattern), longest_text(pattern)


SCORERS: dict[str, AnswerScorer] = {
    "exact": AnswerScorer(
        "the same text as a target, but for case, white space and a closing full stop", _exact_line, _exact_text, _exact_right),
    "choice": AnswerScorer(
        "the right one of the example's choices, named by its letter or its text", _choice_line, _choice_text, _choice_right),
    "number": AnswerScorer("the same value as a target, in digits or in words", _number_line, _number_text, _number_right),
    "regex": AnswerScorer("a text that a target, a pattern, matches from end to end", _pattern_line, _pattern_text, _pattern_right),
}
