"""Rewrite: ask for the next prompt of a series, from a criticism and the prompts before it.

PromptAgent, arXiv 2310.16427, section 3.
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.operators.new_prompt import new_prompt
from optimizer.questions.edits import changes, is_long
from optimizer.questions.template import Markup, attempted, fill, load, tagged
from optimizer.questions.told import AboutTask, is_plain, told_with_fixed_parts
from optimizer.types import Answer

_TEMPLATE = load("rewrite")


def rewrite(
    task: AboutTask, path: Sequence[str], answers: Sequence[Answer], reason: str
) -> Question[str]:
    """Ask for the successor of the last prompt of `path`.

    Args:
        task: The task, or its description alone.
        path: The series of prompts.
        answers: Answers of the target model under the last prompt.
        reason: The criticism of these answers.
    """
    present = path[-1]
    series = Markup(
        "\n".join(
            # Of a long series only what differs from the present prompt, which stands above.
            changes(present, prompt) if is_long(present) else tagged("prompt", prompt)
            for prompt in path
        )
    )
    text = fill(
        _TEMPLATE,
        task=told_with_fixed_parts(task),
        prompt=present,
        examples=attempted(answers, not is_plain(task)),
        reason=reason,
        path=series,
    )
    return new_prompt(text, task, present, max(path, key=len))
