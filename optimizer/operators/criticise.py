"""Criticise: ask why a prompt fails on some examples.

The textual gradient of ProTeGi, arXiv 2305.03495, section 2.1.
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.questions.reply import read_reason
from optimizer.questions.template import attempted, fill, load
from optimizer.questions.told import AboutTask, is_plain, told
from optimizer.types import Answer

_TEMPLATE = load("criticise")


def criticise(task: AboutTask, prompt: str, errors: Sequence[Answer]) -> Question[str]:
    """Ask for one reason why the target model answered `errors` wrongly under the prompt."""
    return Question(
        fill(
            _TEMPLATE,
            task=told(task),
            prompt=prompt,
            examples=attempted(errors, not is_plain(task)),
        ),
        read_reason,
    )
