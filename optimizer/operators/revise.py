"""Revise: ask for the steps without the fault that a critic found.

ProTeGi's edit (arXiv 2305.03495, section 2.1), for a prompt of steps.
"""

from collections.abc import Sequence
from functools import partial

from optimizer.operators.asking import Question
from optimizer.prompt import Step
from optimizer.questions.reply import Unreadable, read_steps
from optimizer.questions.template import attempted, fill, load
from optimizer.questions.told import AboutTask, is_plain, told_with_baseline
from optimizer.types import Answer

_TEMPLATE = load("revise")


def revise(
    task: AboutTask, steps: Sequence[Step], errors: Sequence[Answer], reason: str
) -> Question[tuple[Step, ...]]:
    """Ask for all the steps, changed no more than the reason calls for.

    A reply with the old steps unchanged is unreadable.
    """
    text = fill(
        _TEMPLATE,
        task=told_with_baseline(task),
        steps=_listed(steps),
        examples=attempted(errors, not is_plain(task)),
        reason=reason,
    )
    return Question(text, partial(_read, old=tuple(step.text for step in steps), task=task))


def _listed(steps: Sequence[Step]) -> str:
    """Return the steps in the form of the reply, so that they can be copied."""
    return "\n".join(f"{number}. {step.text} [{step.form}]" for number, step in enumerate(steps, 1))


def _read(reply: str, old: tuple[str, ...], task: AboutTask) -> tuple[Step, ...]:
    steps = read_steps(reply, task=task)
    if tuple(step.text for step in steps) == old:
        raise Unreadable("its <steps> are the old ones, word for word")
    return steps
