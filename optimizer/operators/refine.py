"""Refine: ask for a replacement of the failing step alone, or its split into smaller ones.

ABO, arXiv 2402.02101, section 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from optimizer.operators.asking import Question
from optimizer.operators.localise import Blame
from optimizer.prompt import Step
from optimizer.questions.reply import Unreadable, read_steps
from optimizer.questions.template import attempted, fill, load, numbered
from optimizer.questions.told import AboutTask, is_plain, told_with_baseline
from optimizer.types import Answer

MAX_PARTS = 3
"""Maximum number of parts that a step is split into [ours]."""
BECAUSE = " => "
"""Separates a replacement that did not help from the reason."""
_TEMPLATE = load("refine")


@dataclass(frozen=True)
class Setback:
    """A replacement (see `wording`) that did not help, and the evidence for that."""

    wording: str
    reason: str


def refine(
    task: AboutTask,
    steps: Sequence[Step],
    blame: Blame,
    cases: Sequence[Answer],
    setbacks: Sequence[Setback],
) -> Question[tuple[Step, ...]]:
    """Ask for one to three steps in place of the blamed one.

    Args:
        task: The task, or its description alone.
        steps: All steps of the prompt.
        blame: The failing step.
        cases: Errors in which it failed.
        setbacks: Earlier replacements, shown with their reasons; a reply that repeats one is
            unreadable.
    """
    tried = [setback.wording for setback in setbacks]
    text = fill(
        _TEMPLATE,
        task=told_with_baseline(task),
        steps=numbered(steps),
        step=str(blame.step),
        kind=blame.kind,
        evidence=blame.evidence,
        examples=attempted(cases, not is_plain(task)),
        tried="\n".join(f"{setback.wording}{BECAUSE}{setback.reason}" for setback in setbacks),
    )
    refused = frozenset((steps[blame.step - 1].text, *tried))
    return Question(text, partial(_read, refused=refused, task=task))


def wording(steps: Sequence[Step]) -> str:
    """Return a replacement as one line of text: its parts with " / " between them."""
    return " / ".join(step.text for step in steps)


def _read(reply: str, refused: frozenset[str], task: AboutTask) -> tuple[Step, ...]:
    steps = read_steps(reply, MAX_PARTS, task)
    if wording(steps) in refused:
        raise Unreadable(
            "its <steps> repeats the old step, or a replacement that was tried and did not help"
        )
    return steps
