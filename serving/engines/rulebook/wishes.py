"""Requests of a prompt in the words of the phrase book, and the order in which they are done."""

from collections.abc import Sequence
from random import Random

from optimizer.tasks.generated import GeneratedTask
from serving.engines.rulebook.phrasebook import PHRASEBOOK, kind_of


def phrase(task: GeneratedTask, kind: str, rng: Random) -> str:
    """Return one wording of a kind of step."""
    return rng.choice(PHRASEBOOK[task.name][kind].phrases)


def kind_of_reason(reason: str, task: GeneratedTask) -> str | None:
    """Return the kind of step that a criticism finds missing; None if it names none."""
    named = [kind for kind, entry in PHRASEBOOK[task.name].items() if entry.missing in reason]
    return named[0] if named else kind_of(reason, task)


def in_order(texts: Sequence[str], task: GeneratedTask) -> list[str]:
    """Return general advice first, then the steps in the order in which they are done."""
    place = {kind: at for at, kind in enumerate(task.kinds)}
    return sorted(texts, key=lambda text: place.get(kind_of(text, task) or "", -1))
