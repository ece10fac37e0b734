"""Evidence for the optimizer model: disjoint sets of errors, sets of right answers, and feedbacks.

Knows which answers a set holds; the use of the feedbacks is each measure's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from optimizer.candidate import Problem
from optimizer.diagnostics.causes import Causes
from optimizer.operators.asking import Asking
from optimizer.operators.criticise import criticise
from optimizer.operators.criticise_unseen import criticise_unseen
from optimizer.prompt import Prompt
from optimizer.protocols import Evaluator
from optimizer.types import Answer

Given = Literal["errors", "right", "nothing"]
"""Material that a critic saw: errors; right answers, as if they were errors; no example at all."""
AnswerSet = tuple[Answer, ...]


@dataclass(frozen=True)
class Evidence:
    """The answers of one prompt to the training examples, in sets of at most `errors_per_set`."""

    prompt: Prompt
    error_sets: tuple[AnswerSet, ...]
    """No error is in two of them."""
    right_sets: tuple[AnswerSet, ...]
    """The same number of sets of right answers, drawn with replacement between sets: a weak
    target has few right answers.
    """
    errors: int
    answered: int
    """Training examples with an answer, right or wrong."""


@dataclass(frozen=True)
class Feedback:
    """One reply of the critic."""

    given: Given
    set: int
    """Index of the set that the critic saw, from 0; a running number where it saw nothing."""
    text: str
    named: str = ""
    """The step that it blames; "" where none is clear."""
    causes: tuple[str, ...] = ()
    """The known steps where the errors of its set truly go wrong."""
    valid: bool | None = None
    """True if the named step is one of the causes; None where no error was shown, or no cause is
    known.
    """


async def collect(
    problem: Problem, evaluate: Evaluator, error_sets: int, errors_per_set: int, rng: Random
) -> Evidence:
    """Return the evidence against the baseline; one batch of the target model.

    Where there are too few errors for so many full sets the sets get smaller, and then fewer.
    """
    answers = await evaluate.answers(
        [(problem.seed, example) for example in problem.train], "learn"
    )
    wrong = [answer for answer in answers if answer.is_error]
    right = [answer for answer in answers if answer.is_right]
    # Smaller sets first: the statistics need many feedbacks more than large sets.
    size = min(errors_per_set, max(1, len(wrong) // error_sets))
    sets = min(error_sets, len(wrong) // size)
    drawn = rng.sample(wrong, sets * size)
    return Evidence(
        problem.seed,
        tuple(tuple(drawn[at * size : (at + 1) * size]) for at in range(sets)),
        tuple(tuple(rng.sample(right, min(size, len(right)))) for _ in range(sets) if right),
        len(wrong),
        len(wrong) + len(right),
    )


async def feedbacks_on(evidence: Evidence, problem: Problem, ask: Asking) -> tuple[Feedback, ...]:
    """Return a critic's reply to every error set, to every right set, and as many to none.

    All are one batch. Failed ones are left out.
    """
    prompt = evidence.prompt.text()
    shown: list[tuple[Given, int, AnswerSet]] = [
        *(("errors", at, answers) for at, answers in enumerate(evidence.error_sets)),
        *(("right", at, answers) for at, answers in enumerate(evidence.right_sets)),
        *(("nothing", at, ()) for at in range(len(evidence.error_sets))),
    ]
    texts = await ask(
        [
            criticise(problem, prompt, answers) if answers else criticise_unseen(problem, prompt)
            for _, _, answers in shown
        ]
    )
    return tuple(
        Feedback(given, at, text) for (given, at, _), text in zip(shown, texts, strict=True) if text
    )


async def judged(
    feedbacks: Sequence[Feedback], evidence: Evidence, causes: Causes
) -> tuple[Feedback, ...]:
    """Return the feedbacks with the step that each names, and whether it is right.

    Feedbacks on errors also get the true causes. What a feedback without examples names can be
    compared with any error set; a measure does that.
    """
    errors = [answer for answers in evidence.error_sets for answer in answers]
    cause_by_error = dict(
        zip((id(error) for error in errors), await causes.of(errors), strict=True)
    )
    true_by_set = [
        main_causes([cause_by_error[id(error)] for error in answers])
        for answers in evidence.error_sets
    ]
    return tuple(
        _judged(feedback, causes.named(feedback.text), true_by_set) for feedback in feedbacks
    )


def _judged(
    feedback: Feedback, named: str | None, true_by_set: Sequence[tuple[str, ...]]
) -> Feedback:
    true = true_by_set[feedback.set] if feedback.given == "errors" else ()
    return replace(feedback, named=named or "", causes=true, valid=named in true if true else None)


def main_causes(causes: Sequence[str | None]) -> tuple[str, ...]:
    """Return the causes of at least half of a set's errors, or else the most frequent ones.

    The critic is asked for "the one reason that explains most of these errors".

        >>> main_causes(["facing", "positions", "facing", None])
        ('facing',)
    """
    known = [cause for cause in causes if cause]
    if not known:
        return ()
    count_by_cause = {cause: known.count(cause) for cause in sorted(set(known))}
    # Half of the known causes, or the maximum where no cause reaches half.
    least = min(len(known) / 2, max(count_by_cause.values()))
    return tuple(cause for cause, count in count_by_cause.items() if count >= least)
