"""Criticise: ask why a prompt fails on some examples.

The textual gradient of ProTeGi, arXiv 2305.03495, section 2.1.
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_reason
from optimizer.operators.template import attempted, fill, load
from optimizer.types import Answer

_TEMPLATE = load("criticise")


def criticise(task: str, prompt: str, errors: Sequence[Answer]) -> Question[str]:
    """Ask for one reason why the target model answered `errors` wrongly under the prompt."""
    return Question(
        fill(_TEMPLATE, task=task, prompt=prompt, examples=attempted(errors)), read_reason
    )
