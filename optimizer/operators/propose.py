"""Propose: ask for a better instruction than the scored ones, with no error shown.

OPRO's meta-prompt, arXiv 2309.03409, section 4.
"""

from collections.abc import Sequence
from functools import partial

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_prompt
from optimizer.operators.template import Markup, fill, load, solved, tagged
from optimizer.types import Example

_TEMPLATE = load("propose")


def propose(
    task: str, scored: Sequence[tuple[str, int]], exemplars: Sequence[Example], characters: int
) -> Question[str]:
    """Ask for an instruction that is better than the `scored` ones.

    Args:
        task: The task's description.
        scored: (instruction, score from 0 to 100), in ascending order.
        exemplars: Training examples to show.
        characters: Maximum length, as stated to the model. A longer one is read all the same, for
            the caller to drop.
    """
    archive = Markup(
        "\n".join(
            f"{tagged('prompt', text)}\n{tagged('score', str(score))}" for text, score in scored
        )
    )
    text = fill(
        _TEMPLATE, task=task, scored=archive, examples=solved(exemplars), characters=str(characters)
    )
    return Question(
        text, partial(read_prompt, old=max((text for text, _ in scored), key=len, default=""))
    )
