"""Vary: ask for the same prompt in other words, with no error and no score shown.

APE's resampling, arXiv 2211.01910, section 3.3.
"""

from optimizer.operators.asking import Question
from optimizer.operators.new_prompt import new_prompt
from optimizer.questions.template import fill, load
from optimizer.questions.told import AboutTask, told_with_fixed_parts

_TEMPLATE = load("vary")


def vary(task: AboutTask, prompt: str) -> Question[str]:
    """Ask for a variation of a prompt that keeps its meaning."""
    text = fill(_TEMPLATE, task=told_with_fixed_parts(task), prompt=prompt)
    return new_prompt(text, task, prompt)
