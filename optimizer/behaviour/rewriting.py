"""Drafts: questions for new steps, and the prompts that the replies become.

Drafts of all kinds are written in one batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optimizer.behaviour.search_context import SearchContext
from optimizer.candidate import Candidate
from optimizer.operators.asking import Question
from optimizer.operators.decompose import decompose
from optimizer.prompt import Step
from optimizer.questions.template import attempted
from optimizer.types import Answer


@dataclass(frozen=True)
class Draft:
    """A question for steps, and how to make a candidate of the reply."""

    question: Question[tuple[Step, ...]]
    made: Callable[[tuple[Step, ...]], Candidate]


def new_plan(
    parent: Candidate,
    cases: Sequence[Answer],
    reason: str,
    number: int,
    search_context: SearchContext,
) -> Draft:
    """Draft a new plan of all steps, from errors of the parent and their known reason."""
    return Draft(
        decompose(
            search_context.problem,
            parent.prompt.text(),
            attempted(cases, not search_context.problem.is_plain),
            reason,
        ),
        lambda steps: Candidate(
            search_context.prompt(steps), "decompose", number, parent.id, reason
        ),
    )


async def written(drafts: Sequence[Draft], search_context: SearchContext) -> list[Candidate]:
    """Return the candidates that the drafts became; fewer where a reply could not be read.

    Their demonstrations have to be made again.
    """
    replies = await search_context.ask([draft.question for draft in drafts])
    pairs = zip(drafts, replies, strict=True)
    return search_context.accepted([draft.made(steps) for draft, steps in pairs if steps])
