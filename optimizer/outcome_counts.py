"""Counts of a trial's answers: the target's by verdict, the optimizer model's by usefulness.

For calls that brought nothing the reasons are stored beside the count, each distinct reason once,
for whoever can fix the cause. This module only counts: the scorer decides what an answer is worth,
and the operator whether a reply can be read. Every answer that came back is counted exactly once,
so the counts add up to the calls. It knows no model, no client and no task.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from optimizer.errors import escaped, shortened
from optimizer.types import Failed, Outcome, Purpose, Verdict

ReplyKind = Literal["readable", "unreadable", "empty", "truncated", "refused", "failed"]
"""How useful a reply of the optimizer model was.

`readable`: what its operator needs could be read, also where the reply ended at max_tokens
behind it. `truncated`: it ended there, and could not be read, whether any text had come or not.
`empty`: it ended by itself and has no text. `unreadable`: any other that lacks its tags, or
whose content cannot be used. `refused`: the model, or a filter before it, would not answer.
`failed`: infrastructure gave no answer.
"""
_FAULTS = ("unreadable", "empty", "truncated")
Attempt = Literal["first", "again"]
"""A question's first reply, or the reply to the repeated question, which names the fault of the
first one.
"""
Asked = Literal["target", "optimizer", "grader"]
CallFailure = Literal["refused", "infrastructure", "empty"]
"""`empty`: an answer that ended by itself and has no text; the others as in FailureKind."""
MOST_REASONS = 20
"""Distinct reasons stored of a trial; the calls of all others are counted under one [ours]."""
LONGEST_REASON = 400
OTHER_REASONS = "other reasons"
NO_TEXT = "the content has no text"
_VARYING = re.compile(r"\b(?=[\w-]*\d)[\w-]+\b")
"""Numbers, and names that contain digits: a request's id, the number of tokens requested."""


@dataclass(frozen=True)
class Failure:
    """A number of calls that brought nothing, for one reason."""

    model: Asked
    kind: CallFailure
    reason: str
    """The reason as first reported: on one line, bounded, without characters that a terminal would
    obey.
    """
    calls: int


def likeness(reason: str) -> str:
    """Return the reason with numbers and ids blanked, so that reasons of one kind compare equal."""
    return _VARYING.sub("#", reason)


def failures_of(model: Asked, outcomes: Iterable[Outcome]) -> list[Failure]:
    """Return one Failure for each outcome that brought nothing."""
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
    """Merge failures with the same reason and add up their calls.

    Returns:
        Each distinct reason once, in order of first occurrence; after MOST_REASONS of them the rest
        is counted as OTHER_REASONS.
    """
    first: dict[tuple[str, str, str], Failure] = {}
    calls: Counter[tuple[str, str, str]] = Counter()
    for failure in failures:
        key = (failure.model, failure.kind, likeness(failure.reason))
        # A reason may hold any text of an endpoint: the number of reasons must stay bounded.
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
        """The calls that brought nothing, by reason."""
        self._refusals: dict[str, tuple[str, int]] = {}
        """By the likeness of a reason: the reason as it came first, and its number."""

    def judged(self, purpose: Purpose, verdicts: Iterable[Verdict]) -> None:
        """Add verdicts on answers of the target model."""
        self._verdicts.setdefault(purpose, Counter()).update(verdicts)

    def replied(self, attempt: Attempt, kinds: Iterable[ReplyKind]) -> None:
        """Add kinds of replies of the optimizer model."""
        self._replies.setdefault(attempt, Counter()).update(kinds)

    def failed(self, model: Asked, outcomes: Iterable[Outcome]) -> None:
        """Add the reasons of those of the outcomes that brought nothing."""
        if found := failures_of(model, outcomes):
            self.failures = summed((*self.failures, *found))

    def discarded(self, reason: str, proposals: int = 1) -> None:
        """Add proposals of the optimizer model that a search could not use, and why."""
        reason = shortened(escaped(reason), LONGEST_REASON)
        key = likeness(reason)
        # As with failures, the number of reasons stays bounded.
        if key not in self._refusals and len(self._refusals) >= MOST_REASONS:
            key = reason = OTHER_REASONS
        first, known = self._refusals.get(key, (reason, 0))
        if proposals:
            self._refusals[key] = (first, known + proposals)

    @property
    def refused_proposals(self) -> dict[str, int]:
        """Return reason -> number of proposals that were discarded for it, the most frequent first.

        A proposal counts once, by the fault of its last reply.
        """
        found = sorted(self._refusals.values(), key=lambda one: -one[1])
        return dict(found)

    @property
    def unreadable(self) -> int:
        """Return how many questions to the optimizer model have no readable reply so far."""
        # A fault that was repeated counts by the fate of its repetition alone.
        faults = sum(self._replies.get("first", Counter())[kind] for kind in _FAULTS)
        again = self._replies.get("again", Counter())
        return faults - again.total() + sum(again[kind] for kind in _FAULTS)

    @property
    def verdicts_by_purpose(self) -> dict[str, dict[str, int]]:
        """Return purpose -> verdict -> number of answers, without zeros."""
        return {purpose: dict(counts) for purpose, counts in self._verdicts.items() if counts}

    @property
    def replies_by_attempt(self) -> dict[str, dict[str, int]]:
        """Return attempt -> kind -> number of replies, without zeros."""
        return {attempt: dict(counts) for attempt, counts in self._replies.items() if counts}
