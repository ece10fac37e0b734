"""What became of a trial's answers, each counted under its kind: the target's by verdict, the
optimizer model's by use.

Of what brought nothing the words are kept beside the count, each distinct reason once: they are for
whoever can mend it.

A count, and no judgement: the scorer says what an answer is worth, and the operator whether a reply
can be read. Every answer that came back is counted exactly once, so the counts add up to the calls.
Knows no model, no client and no task.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from optimizer.errors import escaped, shortened
from optimizer.types import Failed, Outcome, Purpose, Verdict

ReplyKind = Literal["readable", "unreadable", "empty", "truncated", "refused", "failed"]
"""What a reply of the optimizer model was good for.

`readable`: what its operator asked for could be read, also where the reply ended at max_tokens
behind it. `truncated`: it ended there, and could not be read, whether anything had come or not.
`empty`: it ended by itself and has no text. `unreadable`: any other that lacks its tags, or whose
content cannot be used. `refused`: the model, or a filter before it, would not answer. `failed`:
infrastructure gave no answer.
"""
_FAULTS = ("unreadable", "empty", "truncated")
Attempt = Literal["first", "again"]
"""A question's first reply, or the one after its fault was named."""
Asked = Literal["target", "optimizer"]
CallFailure = Literal["refused", "infrastructure", "empty"]
"""`empty`: an answer that ended by itself and has no text; the others as in FailureKind."""
MOST_REASONS = 20
"""Distinct reasons that are kept of a trial; the calls of all others are counted under one [ours].
"""
LONGEST_REASON = 400
OTHER_REASONS = "other reasons"
NO_TEXT = "the content has no text"
_VARYING = re.compile(r"\b(?=[\w-]*\d)[\w-]+\b")
"""Numbers, and names that have some: a request's id, the tokens that were asked for."""


@dataclass(frozen=True)
class Failure:
    """Calls that brought nothing, for one reason."""

    model: Asked
    kind: CallFailure
    reason: str
    """As it was told the first time: on one line, bounded, without what a terminal would obey."""
    calls: int


def likeness(reason: str) -> str:
    """Return what reasons have in common that differ by numbers and ids alone."""
    return _VARYING.sub("#", reason)


def failures_of(model: Asked, outcomes: Iterable[Outcome]) -> list[Failure]:
    """Return each outcome that brought nothing, one call each."""
    found = []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            found.append(
                Failure(model, outcome.kind, shortened(escaped(outcome.reason), LONGEST_REASON), 1)
            )
        elif not outcome.text.strip() and not outcome.truncated:
            found.append(
                Failure(
                    model,
                    "empty",
                    shortened(escaped(outcome.metadata.get("empty", NO_TEXT)), LONGEST_REASON),
                    1,
                )
            )
    return found


def summed(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    """Return each distinct reason once, in the order in which they came, and no more than
    MOST_REASONS before OTHER_REASONS.
    """
    first: dict[tuple[str, str, str], Failure] = {}
    calls: Counter[tuple[str, str, str]] = Counter()
    for failure in failures:
        key = (failure.model, failure.kind, likeness(failure.reason))
        if key not in first and len(first) >= MOST_REASONS:
            failure = replace(failure, reason=OTHER_REASONS)
            key = (failure.model, failure.kind, OTHER_REASONS)
        first.setdefault(key, failure)
        calls[key] += failure.calls
    return tuple(replace(failure, calls=calls[key]) for key, failure in first.items())


class OutcomeCounts:
    """The counts of one trial; for one event loop."""

    def __init__(self) -> None:
        self._verdicts: dict[str, Counter[str]] = {}
        self._replies: dict[str, Counter[str]] = {}
        self.failures: tuple[Failure, ...] = ()
        """What brought nothing, by reason."""

    def judged(self, purpose: Purpose, verdicts: Iterable[Verdict]) -> None:
        """More answers of the target model."""
        self._verdicts.setdefault(purpose, Counter()).update(verdicts)

    def replied(self, attempt: Attempt, kinds: Iterable[ReplyKind]) -> None:
        """More replies of the optimizer model."""
        self._replies.setdefault(attempt, Counter()).update(kinds)

    def failed(self, model: Asked, outcomes: Iterable[Outcome]) -> None:
        """Keep the reasons of those outcomes that brought nothing; it is given all of them."""
        if found := failures_of(model, outcomes):
            self.failures = summed((*self.failures, *found))

    @property
    def unreadable(self) -> int:
        """Questions to the optimizer model that stayed without a readable reply, so far."""
        faults = sum(self._replies.get("first", Counter())[kind] for kind in _FAULTS)
        again = self._replies.get("again", Counter())
        return faults - again.total() + sum(again[kind] for kind in _FAULTS)

    @property
    def verdicts_by_purpose(self) -> dict[str, dict[str, int]]:
        """Purpose -> verdict -> answers; what did not occur is left out."""
        return {purpose: dict(counts) for purpose, counts in self._verdicts.items() if counts}

    @property
    def replies_by_attempt(self) -> dict[str, dict[str, int]]:
        """Attempt -> kind -> replies; what did not occur is left out."""
        return {attempt: dict(counts) for attempt, counts in self._replies.items() if counts}
