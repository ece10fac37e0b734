"""Drafts: new steps that are asked for, and the prompts that they become.

Drafts of all kinds are written in one batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optimizer.behaviour.search_context import SearchContext
from optimizer.candidate import Candidate
from optimizer.operators.asking import Question
from optimizer.operators.decompose import decompose
from optimizer.operators.template import attempted
from optimizer.prompt import Step
from optimizer.types import Answer


@dataclass(frozen=True)
class Draft:
    """A question for steps, and what is made of the answer."""

    question: Question[tuple[Step, ...]]
    made: Callable[[tuple[Step, ...]], Candidate]


def new_plan(
    parent: Candidate,
    cases: Sequence[Answer],
    reason: str,
    number: int,
    search_context: SearchContext,
) -> Draft:
    """All steps anew, from errors of the parent and what is known of their reason."""
    return Draft(
        decompose(
            search_context.problem.description, parent.prompt.text(), attempted(cases), reason
        ),
        lambda steps: Candidate(
            search_context.prompt(steps), "decompose", number, parent.id, reason
        ),
    )


async def written(drafts: Sequence[Draft], search_context: SearchContext) -> list[Candidate]:
    """What became of the drafts; fewer where a reply could not be read.

    Their demonstrations are to be made anew.
    """
    replies = await search_context.ask([draft.question for draft in drafts])
    return [draft.made(steps) for draft, steps in zip(drafts, replies, strict=True) if steps]
