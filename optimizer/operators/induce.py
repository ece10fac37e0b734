"""Induce: ask which instruction would explain some solved examples.

APE's forward induction, arXiv 2211.01910, section 3.1.
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.operators.new_prompt import new_prompt
from optimizer.questions.template import fill, load, solved
from optimizer.questions.told import AboutTask, told_with_fixed_parts
from optimizer.types import Example

_TEMPLATE = load("induce")


def induce(task: AboutTask, examples: Sequence[Example]) -> Question[str]:
    """Ask for an instruction, from a few training examples with their gold answers.

    No prompt is shown, but for the parts of it that are fixed.
    """
    text = fill(_TEMPLATE, task=told_with_fixed_parts(task), examples=solved(examples))
    return new_prompt(text, task)
