"""Paraphrase: ask for the same prompt reworded, to search around an edit.

ProTeGi's Monte Carlo step, arXiv 2305.03495, section 2.2.
"""

from optimizer.operators.asking import Question
from optimizer.operators.new_prompt import new_prompt
from optimizer.questions.template import fill, load
from optimizer.questions.told import AboutTask, told_with_fixed_parts

_TEMPLATE = load("paraphrase")


def paraphrase(prompt: str, task: AboutTask = "") -> Question[str]:
    """Ask for a rewording that keeps the prompt's meaning."""
    # A plain description is left out: it might find its way into the words.
    told = told_with_fixed_parts(task, described=False)
    return new_prompt(fill(_TEMPLATE, task=told, prompt=prompt), task, prompt)
