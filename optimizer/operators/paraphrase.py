"""Paraphrase: ask for the same prompt reworded, to search around an edit.

ProTeGi's Monte Carlo step, arXiv 2305.03495, section 2.2.
"""

from functools import partial

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_prompt
from optimizer.operators.template import fill, load

_TEMPLATE = load("paraphrase")


def paraphrase(prompt: str) -> Question[str]:
    """Ask for a rewording that keeps the prompt's meaning."""
    return Question(fill(_TEMPLATE, prompt=prompt), partial(read_prompt, old=prompt))
