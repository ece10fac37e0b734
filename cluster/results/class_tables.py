"""Answers by class as Arrow: the figures of each class, and the confusion matrix.

Their names and columns are an interface: keep them. Written only where targets are classes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from cluster.trial.result import TrialResult
from optimizer.statistics import OTHER, UNREADABLE, Confusion
from serving.storage.text import storable

CLASSES: pa.Schema = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),  # names the trial as the files in best/ do
        pa.field("task", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),  # baseline or best
        pa.field("class", pa.string(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),  # test items of the class that were answered
        pa.field("right", pa.int64(), nullable=False),
        pa.field("answered", pa.int64(), nullable=False),  # items answered with this class
        pa.field("accuracy", pa.float64()),  # right / items, the recall; null without items
        pa.field("precision", pa.float64()),  # right / answered; null without answers
        pa.field("f1", pa.float64()),
        pa.field("macro_f1", pa.float64()),  # of the prompt: the mean of its classes' F1
    ]
)
"""A row a trial, a prompt and a class."""

CONFUSION: pa.Schema = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),  # baseline or best
        pa.field("target", pa.string(), nullable=False),
        pa.field("answer", pa.string()),  # null where the answer is no class, or unreadable
        pa.field("kind", pa.string(), nullable=False),  # class, other, unreadable
        pa.field("items", pa.int64(), nullable=False),
    ]
)
"""A row a trial, a prompt, a target class and an answer that was given to it."""

_KIND_BY_COLUMN = {OTHER: "other", UNREADABLE: "unreadable"}


def classes_table(results: Sequence[TrialResult]) -> pa.Table:
    """Return the figures of each class, as CLASSES has them."""
    rows = [
        {
            "trial": storable(result.trial),
            "task": storable(result.task),
            "prompt": prompt,
            "class": storable(one.name),
            "items": one.items,
            "right": one.right,
            "answered": one.answered,
            "accuracy": one.accuracy,
            "precision": one.precision,
            "f1": one.f1,
            "macro_f1": found.macro_f1,
        }
        for result, prompt, found in _tested(results)
        for one in found.by_class
    ]
    return pa.Table.from_pylist(rows, schema=CLASSES)


def confusion_table(results: Sequence[TrialResult]) -> pa.Table:
    """Return the confusion matrices without their zeros, as CONFUSION has them."""
    rows: list[dict[str, Any]] = []
    for result, prompt, found in _tested(results):
        for target, counts in zip(found.classes, found.counts, strict=True):
            for place, (answer, items) in enumerate(zip(found.answers, counts, strict=True)):
                kind = "class" if place < len(found.classes) else _KIND_BY_COLUMN[answer]
                if items:
                    rows.append(
                        {
                            "trial": storable(result.trial),
                            "prompt": prompt,
                            "target": storable(target),
                            "answer": storable(answer) if kind == "class" else None,
                            "kind": kind,
                            "items": items,
                        }
                    )
    return pa.Table.from_pylist(rows, schema=CONFUSION)


def _tested(results: Sequence[TrialResult]) -> Iterator[tuple[TrialResult, str, Confusion]]:
    """Yield each trial's confusion matrices with the names of their prompts."""
    for result in results:
        if result.seed_prompt_test_classes:
            yield result, "baseline", result.seed_prompt_test_classes
        if result.test_classes:
            yield result, "best", result.test_classes
