"""Propose: ask for a better instruction than the scored ones, with no error shown.

OPRO's meta-prompt, arXiv 2309.03409, section 4.
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.operators.new_prompt import new_prompt
from optimizer.questions.edits import changes, is_long
from optimizer.questions.template import Markup, fill, load, solved, tagged
from optimizer.questions.told import AboutTask, told_with_fixed_parts
from optimizer.types import Example

_TEMPLATE = load("propose")


def propose(
    task: AboutTask,
    scored: Sequence[tuple[str, int]],
    exemplars: Sequence[Example],
    characters: int,
) -> Question[str]:
    """Ask for an instruction that is better than the `scored` ones.

    Args:
        task: The task, or its description alone.
        scored: (instruction, score from 0 to 100), in ascending order. A long one is shown by the
            lines in which it differs from the best one, which is the one to change.
        exemplars: Training examples to show.
        characters: Maximum length, as stated to the model. A longer one is read all the same, for
            the caller to drop.
    """
    best = scored[-1][0] if scored else ""
    shown = [
        # The best long one is shown whole, as the one to change, and the others by what differs.
        changes(best, text) if is_long(best) and text != best else tagged("prompt", text)
        for text, _ in scored
    ]
    archive = Markup(
        "\n".join(
            f"{entry}\n{tagged('score', str(score))}"
            for entry, (_, score) in zip(shown, scored, strict=True)
        )
    )
    text = fill(
        _TEMPLATE,
        task=told_with_fixed_parts(task),
        scored=archive,
        examples=solved(exemplars),
        characters=str(characters),
    )
    longest = max((text for text, _ in scored), key=len, default="")
    return new_prompt(text, task, best, longest)
