"""Decompose: ask for the wanted behaviour as numbered steps with checkable results.

ABO, arXiv 2402.02101, section 6.
"""

from functools import partial

from optimizer.operators.asking import Question
from optimizer.prompt import Step
from optimizer.questions.reply import read_steps
from optimizer.questions.template import Markup, fill, load
from optimizer.questions.told import AboutTask, told_with_baseline

_TEMPLATE = load("decompose")


def decompose(
    task: AboutTask, prompt: str, examples: Markup, reason: str = ""
) -> Question[tuple[Step, ...]]:
    """Ask for the steps of the whole task.

    Args:
        task: The task, or its description alone.
        prompt: The present prompt.
        examples: `solved` examples, or `attempted` ones where a prompt is to be replaced.
        reason: The fault of the present prompt, "" where nothing is known.
    """
    return Question(
        fill(
            _TEMPLATE,
            task=told_with_baseline(task, shown=False),
            prompt=prompt,
            examples=examples,
            reason=reason,
        ),
        partial(read_steps, task=task),
    )
