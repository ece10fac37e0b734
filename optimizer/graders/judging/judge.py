"""What all judges share: the calls of a model that grades, its votes, and what a budget refuses.

A judge is settings (a frozen dataclass, plain data) until it is bound to a model. It asks once for
each vote; a reply that cannot be read is asked again once, with the fault named. A vote that is
unreadable twice, that failed, or that was refused is none. With less than half of its votes an
answer has no score (`missing`): a judge that fails says nothing about a prompt.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from optimizer.errors import BudgetExhausted
from optimizer.grader import Grader
from optimizer.graders.judging.template import ItemData, cut
from optimizer.prompt import without_thinking
from optimizer.protocols import LanguageModel
from optimizer.types import (
    Completion,
    Example,
    Message,
    Outcome,
    Purpose,
    Request,
    Role,
    Sampling,
    Score,
)

V = TypeVar("V")
MOST_SHOWN_BYTES = 20_000
"""Maximum number of bytes of a response that a judge is shown [ours]."""
BYTES_PER_TOKEN = 8
"""Bytes that a token has at most on average: what is shown of a response is cut at so many for each
of its tokens, so that a budget can count it beforehand [ours: 4 to 5 in English].
"""
MOST_VOTES = 25
VOTES_TEMPERATURE = 0.7
"""Where there are several votes; self-consistency (Wang et al. 2022, arXiv 2203.11171) uses 0.7."""
_COMPLAINT_BYTES = 2_000


class GradingRefused(BudgetExhausted):
    """The budget does not cover the grading of all answers.

    `graded` is the number of the first ones that it has paid for: to grade them again is free.
    """

    graded: int = 0


class Unreadable(Exception):
    """A judge's reply cannot be used; the text says why."""


@dataclass(frozen=True)
class Vote(Generic[V]):
    """What one reply says."""

    value: V
    reason: str = ""


@dataclass(frozen=True)
class Judging:
    """What a judge grades with."""

    model: LanguageModel
    purpose: Purpose = "grade"
    """`grade` for the answers of a search, `grade_test` for those of the final test."""
    answer_bytes: int = MOST_SHOWN_BYTES
    """Most bytes of a response that it is shown."""


def shown_bytes(max_tokens: int) -> int:
    """Return how many bytes of a response a judge is shown, given its most tokens."""
    return min(MOST_SHOWN_BYTES, BYTES_PER_TOKEN * max_tokens)


class Judge(ABC, Generic[V]):
    """The settings of a judge, and how it asks and reads; a kind fills in the rest."""

    votes: int
    max_tokens: int
    temperature: float | None
    model: Any
    answer_line: str = ""

    @property
    @abstractmethod
    def accepts(self) -> str:
        """Return which answer is right, for people and for the optimizer model."""

    @abstractmethod
    def question(self, data: ItemData) -> tuple[Message, ...]:
        """Return the messages that ask about one output."""

    @abstractmethod
    def most_bytes(self, example_bytes: int, answer_bytes: int) -> tuple[int, ...]:
        """Return the most bytes that each message can have."""

    @abstractmethod
    def read(self, reply: str) -> Vote[V]:
        """Return the vote of a reply.

        Raises:
            Unreadable: It has none.
        """

    @abstractmethod
    def decided(self, votes: Sequence[Vote[V]]) -> Score:
        """Return the score of some votes, at least one."""

    def bound(self, judging: Judging | None) -> "BoundJudge[V] | Judge[V]":
        """Return the grader that asks a model; itself, which cannot grade, where there is none."""
        return self if judging is None else BoundJudge(self, judging)

    def sampling(self) -> Sampling:
        """Return how the judge samples."""
        usual = VOTES_TEMPERATURE if self.votes > 1 else 0.0
        return Sampling(usual if self.temperature is None else self.temperature, self.max_tokens)

    def requests_at_most(self, example_bytes: int, answer_bytes: int) -> list[Request]:
        """Return requests that cost what those about one answer can cost at most."""
        sizes = self.most_bytes(example_bytes, answer_bytes)
        # The system message comes first where there is one; other roles cost alike.
        first: Role = "system" if len(sizes) > 1 else "user"
        messages = tuple(
            Message("user" if place else first, "x" * size) for place, size in enumerate(sizes)
        )
        return [Request(messages, self.sampling(), vote, "grade") for vote in range(self.votes)]

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        """Raise: without a model nothing can be graded."""
        raise RuntimeError("a judge grades with a model; build its spec with one")

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return False: a judge reads any form."""
        return False


class BoundJudge(Generic[V]):
    """A judge with its model."""

    def __init__(self, judge: Judge[V], judging: Judging) -> None:
        self._judge = judge
        self._judging = judging
        self.accepts = judge.accepts
        self.answer_line = judge.answer_line

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return False: a judge reads any form."""
        return False

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        """Return the scores; all first questions are one batch, all repeated ones another.

        Raises:
            GradingRefused: The budget does not cover the first questions.
        """
        if not pairs:
            return []
        judge, sampling = self._judge, self._judge.sampling()
        asked = [
            judge.question(ItemData(example, cut(_plain(response), self._judging.answer_bytes)))
            for response, example in pairs
        ]
        requests = [
            Request(messages, sampling, vote, self._judging.purpose)
            for messages in asked
            for vote in range(judge.votes)
        ]
        try:
            outcomes = await self._judging.model.complete(requests)
        except BudgetExhausted as refusal:
            refused = GradingRefused(str(refusal))
            refused.graded = len(refusal.answered) // judge.votes
            raise refused from refusal
        votes = await self._votes(requests, outcomes)
        return [
            self._score(votes[place : place + judge.votes])
            for place in range(0, len(votes), judge.votes)
        ]

    async def _votes(
        self, requests: Sequence[Request], outcomes: Sequence[Outcome]
    ) -> list[Vote[V] | str]:
        """Return each vote, or why there is none."""
        found = [self._vote(outcome) for outcome in outcomes]
        again = {
            place: _again(requests[place], outcome.text, said)
            for place, (outcome, said) in enumerate(zip(outcomes, found, strict=True))
            if isinstance(said, str) and isinstance(outcome, Completion)
        }
        if again:
            try:
                second = await self._judging.model.complete(list(again.values()))
            except BudgetExhausted as refusal:
                # The first replies stand; what was to be repeated has no vote.
                second = list(refusal.answered)
            for place, outcome in zip(again, second, strict=False):
                found[place] = self._vote(outcome)
        return found

    def _vote(self, outcome: Outcome) -> Vote[V] | str:
        if not isinstance(outcome, Completion):
            return outcome.reason
        try:
            return self._judge.read(without_thinking(outcome.text))
        except Unreadable as fault:
            cut_off = "; it was cut off at the length limit" if outcome.truncated else ""
            return f"{fault}{cut_off}"

    def _score(self, votes: Sequence[Vote[V] | str]) -> Score:
        readable = [vote for vote in votes if isinstance(vote, Vote)]
        if 2 * len(readable) < len(votes) or not readable:
            why = next(vote for vote in votes if isinstance(vote, str))
            return Score("missing", feedback=f"The judge gave no usable reply: {why[:300]}")
        return self._judge.decided(readable)


def _plain(response: Completion) -> str:
    return without_thinking(response.text)


def _again(request: Request, reply: str, fault: str) -> Request:
    shown = cut(reply, _COMPLAINT_BYTES) if reply.strip() else "(an empty reply)"
    complaint = (
        f"Your reply cannot be used: {fault}. Answer once more, in exactly the form that was asked "
        "for."
    )
    return replace(
        request,
        messages=(*request.messages, Message("assistant", shown), Message("user", complaint)),
    )


def judges_in(grader: Grader) -> list[Judge[Any]]:
    """Return the judges of a grader that was not bound: itself, or parts of it."""
    if isinstance(grader, Judge):
        return [grader]
    parts = getattr(grader, "parts", None)
    if not isinstance(parts, Mapping):
        return []
    return [judge for part in parts.values() for judge in judges_in(part)]


_TAGS = re.compile(r"<(?=/?(?:rubric|input|target|answer|reason|label|score)\b)", re.IGNORECASE)


def harmless(text: str) -> str:
    """Return data so that none of it looks like a tag of the question or of the reply."""
    return _TAGS.sub("&lt;", text)


def tagged(name: str, reply: str) -> str | None:
    """Return what stands in the last pair of such tags; None where there is none."""
    closing = reply.lower().rfind(f"</{name}>")
    opening = reply.lower().rfind(f"<{name}>", 0, closing) if closing > 0 else -1
    return reply[opening + len(name) + 2 : closing].strip() if opening >= 0 else None
