"""Vary: ask for the same prompt in other words, with no error and no score shown.

APE's resampling, arXiv 2211.01910, section 3.3.
"""

from functools import partial

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_prompt
from optimizer.operators.template import fill, load

_TEMPLATE = load("vary")


def vary(task: str, prompt: str) -> Question[str]:
    """Ask for a variation of a prompt that keeps its meaning."""
    return Question(fill(_TEMPLATE, task=task, prompt=prompt), partial(read_prompt, old=prompt))
