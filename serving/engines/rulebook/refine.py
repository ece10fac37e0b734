"""Refine: write another wording for one step, or its split into smaller ones."""

from random import Random

from optimizer.tasks.generated import GeneratedTask
from serving.engines.rulebook.metaprompt import Query, replacement_of
from serving.engines.rulebook.phrasebook import PHRASEBOOK, STRONGER, VAGUE, Entry, kind_of
from serving.engines.rulebook.wishes import phrase


def refine(query: Query) -> str:
    """Replace a failing step.

    A skipped step gets a stronger wording; one that came out wrong is split, with the step that it
    depends on first; an ambiguous one at the end of the procedure is followed by the next step.
    """
    old = query.steps[query.number - 1] if 0 < query.number <= len(query.steps) else ""
    kind = kind_of(old, query.task) if query.task else None
    if kind is None or query.task is None or query.biased:
        return replacement_of([(f"{old.rstrip('.')}. {query.rng.choice(VAGUE)}", "text")])
    book = PHRASEBOOK[query.task.name]
    step = (old.rstrip("."), book[kind].form)
    present = {kind_of(text, query.task) for text in query.steps}
    before = [other for other in book[kind].leans_on if other not in present]
    behind = [
        other
        for other in query.task.kinds[query.task.kinds.index(kind) + 1 :]
        if other not in present
    ]
    # A step that stays undone in every wording is split, too: perhaps it was too much at once.
    if before and (query.kind != "skipped" or query.tried):
        return replacement_of([_step(query.task, before[0], query.rng), step])
    if behind and query.kind == "ambiguous" and query.number == len(query.steps):
        return replacement_of([step, _step(query.task, behind[0], query.rng)])
    return replacement_of([(_stronger(query, book[kind]) or step[0], step[1])])


def _step(task: GeneratedTask, kind: str, rng: Random) -> tuple[str, str]:
    return phrase(task, kind, rng), PHRASEBOOK[task.name][kind].form


def _stronger(query: Query, entry: Entry) -> str | None:
    """Return a wording that was not rolled back before; None where all were."""
    wordings = [
        wish + tail for wish in entry.phrases for tail in STRONGER if wish + tail not in query.tried
    ]
    return query.rng.choice(wordings) if wordings else None
