"""Induce: ask which instruction would explain some solved examples.

APE's forward induction, arXiv 2211.01910, section 3.1.
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_prompt
from optimizer.operators.template import fill, load, solved
from optimizer.types import Example

_TEMPLATE = load("induce")


def induce(task: str, examples: Sequence[Example]) -> Question[str]:
    """Ask for an instruction, from a few training examples with their gold answers.

    No prompt is shown.
    """
    return Question(fill(_TEMPLATE, task=task, examples=solved(examples)), read_prompt)
