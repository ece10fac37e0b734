"""Edit: ask for a new prompt without the fault that a critic found.

The step along ProTeGi's gradient, arXiv 2305.03495, section 2.1.
"""

from collections.abc import Sequence
from functools import partial

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_prompt
from optimizer.operators.template import attempted, fill, load
from optimizer.types import Answer

_TEMPLATE = load("edit")


def edit(task: str, prompt: str, errors: Sequence[Answer], reason: str) -> Question[str]:
    """Ask for a whole new prompt, given the old one, the critic's reason and the errors."""
    text = fill(_TEMPLATE, task=task, prompt=prompt, examples=attempted(errors), reason=reason)
    return Question(text, partial(read_prompt, old=prompt))
