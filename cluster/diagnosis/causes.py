"""Find the generated task whose procedure judges a task's errors, and the steps feedback blames.

A file of items that a generated task can parse is judged by its procedure too. The steps are found
by the phrase book's signs.
"""

import re
from collections.abc import Mapping, Sequence

from optimizer.diagnostics import ByProcedure
from optimizer.types import Example
from serving.engines.rulebook.phrasebook import PHRASEBOOK, Entry, task_behind

_TALK_OF_PROMPTS = re.compile(r"\b(instructions?|prompts?|step[- ]by[- ]step)\b", re.IGNORECASE)
"""Words about the prompt that the tasks use for something else."""


def procedure_of(examples: Sequence[Example]) -> ByProcedure | None:
    """Return the procedure behind these examples; None if a task's right steps are not known."""
    task = task_behind([example.input for example in examples])
    if task is None:
        return None

    return ByProcedure(task, lambda feedback: _most_spoken_of(feedback, PHRASEBOOK[task.name]))


def _most_spoken_of(feedback: str, entry_by_kind: Mapping[str, Entry]) -> str | None:
    """Return the step that the feedback's words point to most often.

    Of equals it is the narrower one, which comes first in the phrase book. A feedback of the
    rulebook names its step, whatever other words are in it.
    """
    named = next((kind for kind, entry in entry_by_kind.items() if entry.missing in feedback), None)
    words = _TALK_OF_PROMPTS.sub("", feedback)
    signs_by_kind = {
        kind: sum(1 for _ in re.finditer(entry.signs, words, re.IGNORECASE))
        for kind, entry in entry_by_kind.items()
    }
    most = max(signs_by_kind.values())
    return named or next(
        (kind for kind, signs in signs_by_kind.items() if most and signs == most), None
    )
