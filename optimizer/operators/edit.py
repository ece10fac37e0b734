"""Edit: a new prompt without the fault that a critic found (the step along ProTeGi's gradient, arXiv 2305.03495, section 2.1)."""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_prompt
from optimizer.operators.template import attempted, fill, load
from optimizer.types import Answer

_TEMPLATE = load("edit")


def edit(task: str, prompt: str, errors: Sequence[Answer], reason: str) -> Question[str]:
    """Asks for a whole new prompt from the old one, the errors that the critic saw, and its reason."""
    return Question(fill(_TEMPLATE, task=task, prompt=prompt, examples=attempted(errors), reason=reason), read_prompt)
