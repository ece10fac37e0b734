"""Rewrite: ask for the next prompt of a series, from a criticism and the prompts before it.

PromptAgent, arXiv 2310.16427, section 3.
"""

from collections.abc import Sequence
from functools import partial

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_prompt
from optimizer.operators.template import Markup, attempted, fill, load, tagged
from optimizer.types import Answer

_TEMPLATE = load("rewrite")


def rewrite(
    task: str, path: Sequence[str], answers: Sequence[Answer], reason: str
) -> Question[str]:
    """Ask for the successor of the last prompt of `path`.

    Args:
        task: The task's description.
        path: The series of prompts.
        answers: Answers of the target model under the last prompt.
        reason: The criticism of these answers.
    """
    series = Markup("\n".join(tagged("prompt", prompt) for prompt in path))
    text = fill(
        _TEMPLATE,
        task=task,
        prompt=path[-1],
        examples=attempted(answers),
        reason=reason,
        path=series,
    )
    return Question(text, partial(read_prompt, old=max(path, key=len)))
