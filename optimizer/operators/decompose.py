"""Decompose: ask for the wanted behaviour as numbered steps with checkable results.

ABO, arXiv 2402.02101, section 6.
"""

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_steps
from optimizer.operators.template import Markup, fill, load
from optimizer.prompt import Step

_TEMPLATE = load("decompose")


def decompose(
    task: str, prompt: str, examples: Markup, reason: str = ""
) -> Question[tuple[Step, ...]]:
    """Ask for the steps of the whole task.

    Args:
        task: The task's description.
        prompt: The present prompt.
        examples: `solved` examples, or `attempted` ones where a prompt is to be replaced.
        reason: The fault of the present prompt, "" where nothing is known.
    """
    return Question(
        fill(_TEMPLATE, task=task, prompt=prompt, examples=examples, reason=reason), read_steps
    )
