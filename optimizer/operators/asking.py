"""Questions to the optimizer model, in batches, each repeated once if its reply cannot be read.

Knows batches, sample numbers and the second attempt, and counts the kind of each reply. Knows no
operator, no template and no strategy.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Generic, TypeVar

from optimizer.errors import BudgetExhausted
from optimizer.outcome_counts import Attempt, ReplyKind
from optimizer.protocols import OptimizerModel
from optimizer.questions.reply import Unreadable
from optimizer.questions.template import shown_part
from optimizer.types import Completion, Failed, Message, Outcome, Request, Sampling

T = TypeVar("T")
Check = Callable[[Sequence[tuple[int, T]]], Awaitable[Sequence[str]]]
"""Checks results that were read, given with the places of their questions: says of each what is
wrong with it, "" for nothing.
"""
_NO_TEXT = "(an empty reply)"
"""Stands for an empty reply in the repeated question: some endpoints refuse a message without
text.
"""


@dataclass(frozen=True)
class Fault:
    """A reply that could not be used, and why."""

    reply: str
    reason: str
    kind: ReplyKind = "unreadable"


@dataclass(frozen=True)
class Question(Generic[T]):
    """The text of an operator's question, and the reader of its reply."""

    text: str
    read: Callable[[str], T]
    """Raises Unreadable for a reply that cannot be used."""

    def judge(self, outcome: Outcome) -> T | Fault | None:
        """Return what is read from an outcome, a Fault, or None for a call that failed."""
        if not isinstance(outcome, Completion):
            return None
        try:
            return self.read(outcome.text)
        except Unreadable as fault:
            return fault_of(outcome, str(fault))


def fault_of(outcome: Completion, fault: str) -> Fault:
    """Return the Fault of a reply that cannot be used."""
    empty = not outcome.text.strip()
    reason = "it is empty" if empty else fault
    if outcome.truncated:
        return Fault(
            outcome.text,
            f"{reason}; it was cut off at the length limit, so be shorter",
            "truncated",
        )
    return Fault(outcome.text, reason, "empty" if empty else "unreadable")


class Asking:
    """The optimizer model of one search.

    Call it with questions; it returns what was read from each reply, None where nothing was. A
    question whose reply cannot be read is asked once more, with the fault named; if that fails too
    it is a failed proposal and counted. A call that failed (no reply at all) is not repeated: the
    guards around the model have already retried, and a model that refused once would refuse again.
    The kind of every reply goes to the model's counts.

    The same question asked again is a new draw: it gets the next sample number. The first number
    comes from the search's `rng`, so that searches with different seeds draw independently although
    they share a ledger.
    """

    def __init__(self, optimizer: OptimizerModel, sampling: Sampling, rng: Random) -> None:
        self._optimizer = optimizer
        self._sampling = sampling
        # A start of its own, so that searches with other seeds draw other replies from a shared
        # ledger.
        self._first_sample = rng.randrange(2**20)
        self._times_asked: Counter[str] = Counter()
        self._parse_failures = 0
        self._read = 0
        """Number of replies that could be read in this round."""
        self._refusal: BudgetExhausted | None = None
        self._outcome_counts = optimizer.outcome_counts

    async def __call__(
        self, questions: Sequence[Question[T]], check: Check[T] | None = None
    ) -> list[T | None]:
        """Return one result for each question, in order.

        What `check` finds wrong with a result makes its reply unreadable, so that it is asked again
        with that fault named.

        One batch goes out, a second one if any reply was unreadable; none for no questions. If the
        budget is exhausted after something was read in this round, those results are returned: what
        the budget does not cover is None, and so are the results of all later questions; `go_on`
        ends the search behind the round.

        Raises:
            BudgetExhausted: If the budget is exhausted and nothing was read in this round.
        """
        requests = [self._request(question.text) for question in questions]
        found = await self._attempt("first", list(enumerate(questions)), requests, check)
        found += [None] * (len(questions) - len(found))
        faults = [(at, result) for at, result in enumerate(found) if isinstance(result, Fault)]
        second = await self._attempt(
            "again",
            [(at, questions[at]) for at, _ in faults],
            [_again(requests[at], fault) for at, fault in faults],
            check,
        )
        # Not strict: the budget may have refused some of the repeated questions.
        for (at, _), result in zip(faults, second, strict=False):
            found[at] = result
        unread = [result for result in found if isinstance(result, Fault)]
        self._parse_failures += len(unread)
        for fault in unread:
            self._outcome_counts.discarded(fault.reason)
        return [None if isinstance(result, Fault) else result for result in found]

    def take_parse_failures(self) -> int:
        """Return and reset the number of questions without a readable reply.

        Call it once in each round, behind its questions.
        """
        taken, self._parse_failures, self._read = self._parse_failures, 0, 0
        return taken

    def refused(self, reason: str, proposals: int) -> None:
        """Count proposals that were read, and that the strategy does not use for this reason."""
        self._outcome_counts.discarded(reason, proposals)

    def go_on(self) -> None:
        """Check behind each round that the budget was not exhausted in it.

        Raises:
            BudgetExhausted: If it was.
        """
        if self._refusal:
            raise self._refusal

    def _request(self, text: str) -> Request:
        sample = self._first_sample + self._times_asked[text]
        self._times_asked[text] += 1
        return Request((Message("user", text),), self._sampling, sample, "propose")

    async def _attempt(
        self,
        attempt: Attempt,
        questions: Sequence[tuple[int, Question[T]]],
        requests: Sequence[Request],
        check: Check[T] | None,
    ) -> list[T | Fault | None]:
        """Return what is read from the replies; fewer if the budget is exhausted.

        Args:
            attempt: The first, or the second.
            questions: The questions with their places.
            requests: One for each question.
            check: See `__call__`.
        """
        if not requests or self._refusal:
            return []
        try:
            outcomes: Sequence[Outcome] = await self._optimizer.complete(requests)
        except BudgetExhausted as refusal:
            found = await self._judged(attempt, questions, refusal.answered, check)
            # Nothing was read in this round, so there is nothing to save.
            if not self._read:
                raise
            self._refusal = refusal
            return found
        return await self._judged(attempt, questions, outcomes, check)

    async def _judged(
        self,
        attempt: Attempt,
        questions: Sequence[tuple[int, Question[T]]],
        outcomes: Sequence[Outcome],
        check: Check[T] | None,
    ) -> list[T | Fault | None]:
        """Read, check and count the outcomes of the first of these questions."""
        results = [
            question.judge(outcome)
            for (_, question), outcome in zip(questions, outcomes, strict=False)
        ]
        if check is not None:
            await _checked(results, [at for at, _ in questions], outcomes, check)
        came = [
            (outcome, result)
            for outcome, result in zip(outcomes, results, strict=True)
            # A repeated outcome was counted when it came.
            if not outcome.repeated
        ]
        self._outcome_counts.failed("optimizer", [outcome for outcome, _ in came])
        self._outcome_counts.replied(attempt, [_kind(outcome, result) for outcome, result in came])
        self._read += sum(not isinstance(result, Fault | None) for result in results)
        return results


async def _checked(
    results: list[T | Fault | None],
    places: Sequence[int],
    outcomes: Sequence[Outcome],
    check: Check[T],
) -> None:
    """Put a Fault in the place of each result with which something is wrong; one batch."""
    read = [
        (number, result)
        for number, result in enumerate(results)
        if result is not None and not isinstance(result, Fault)
    ]
    if not read:
        return
    faults = await check([(places[number], result) for number, result in read])
    for (number, _), fault in zip(read, faults, strict=True):
        outcome = outcomes[number]
        if fault and isinstance(outcome, Completion):
            results[number] = fault_of(outcome, fault)


def _kind(outcome: Outcome, result: object) -> ReplyKind:
    """Return how useful a reply was, given the outcome and what was read from it."""
    if isinstance(outcome, Failed):
        return "refused" if outcome.kind == "refused" else "failed"
    return result.kind if isinstance(result, Fault) else "readable"


def _again(request: Request, fault: Fault) -> Request:
    complaint = (
        f"Your reply cannot be used: {fault.reason}. Answer once more, in exactly the form that "
        "was asked for."
    )
    shown = shown_part(fault.reply) if fault.reply.strip() else _NO_TEXT
    return replace(
        request,
        messages=(*request.messages, Message("assistant", shown), Message("user", complaint)),
    )
