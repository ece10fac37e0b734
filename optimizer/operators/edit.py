"""Edit: ask for a new prompt without the fault that a critic found.

The step along ProTeGi's gradient, arXiv 2305.03495, section 2.1.
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.operators.new_prompt import new_prompt
from optimizer.questions.template import attempted, fill, load
from optimizer.questions.told import AboutTask, is_plain, told_with_fixed_parts
from optimizer.types import Answer

_TEMPLATE = load("edit")


def edit(task: AboutTask, prompt: str, errors: Sequence[Answer], reason: str) -> Question[str]:
    """Ask for a new prompt, given the old one, the critic's reason and the errors."""
    text = fill(
        _TEMPLATE,
        task=told_with_fixed_parts(task),
        prompt=prompt,
        examples=attempted(errors, not is_plain(task)),
        reason=reason,
    )
    return new_prompt(text, task, prompt)
