"""Decompose: the behaviour that is wanted, as numbered steps with checkable results (ABO, arXiv
2402.02101, section 6).
"""

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_steps
from optimizer.operators.template import Markup, fill, load
from optimizer.prompt import Step

_TEMPLATE = load("decompose")


def decompose(
    task: str, prompt: str, examples: Markup, reason: str = ""
) -> Question[tuple[Step, ...]]:
    """Asks for the steps of the whole task.

    `examples` are `solved` ones, or `attempted` ones where a prompt is to be replaced.

    `reason` says what is wrong with the present prompt, "" where nothing is known.
    """
    return Question(
        fill(_TEMPLATE, task=task, prompt=prompt, examples=examples, reason=reason), read_steps
    )
