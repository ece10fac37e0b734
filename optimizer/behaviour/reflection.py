"""Reflect: a critic explains a prompt's errors, and the steps are revised.

ProTeGi, arXiv 2305.03495, section 2.1. Other than localisation, the critic is not bound to the
existing steps: it can find that one is missing.
"""

from dataclasses import dataclass

from optimizer.behaviour.rewriting import Draft, new_plan
from optimizer.behaviour.search_context import SearchContext
from optimizer.candidate import Candidate
from optimizer.operators.asking import Question
from optimizer.operators.criticise import criticise
from optimizer.operators.revise import revise
from optimizer.types import Answer


@dataclass(frozen=True)
class Group:
    """A few errors of one prompt, which a critic sees together."""

    parent: Candidate
    errors: tuple[Answer, ...]


def criticism(group: Group, search_context: SearchContext) -> Question[str]:
    """Return the question why the prompt led to these errors."""
    return criticise(search_context.problem, group.parent.prompt.text(), group.errors)


def revision(group: Group, reason: str, number: int, search_context: SearchContext) -> Draft:
    """Draft the steps changed as the reason asks; a first plan where there are none."""
    parent = group.parent
    if not parent.prompt.steps:
        return new_plan(parent, group.errors, reason, number, search_context)
    return Draft(
        revise(search_context.problem, parent.prompt.steps, group.errors, reason),
        lambda steps: Candidate(search_context.prompt(steps), "revise", number, parent.id, reason),
    )
