"""Texts, diffs and worked examples as JSON carries them."""

from collections.abc import Collection, Sequence

from cluster.analysis.worked_examples import parts_of
from cluster.service.schemas import DiffPiece, ExamplePart, WorkedExample
from cluster.text.diff import word_diff
from optimizer.prompt import Demonstration
from serving.storage.text import storable


def diff_of(old: str, new: str) -> list[DiffPiece]:
    """Return the difference of two texts, word by word."""
    return [DiffPiece(kind=piece.kind, text=storable(piece.text)) for piece in word_diff(old, new)]


def examples_of(
    shown: Sequence[Demonstration], known: Collection[Demonstration] | None = None
) -> list[WorkedExample]:
    """Return demonstrations in parts.

    Args:
        shown: The demonstrations of a prompt.
        known: Those of its parent, if it has one; the others are marked as new.
    """
    return [
        WorkedExample(
            input=storable(one.input),
            parts=[
                ExamplePart(label=part.label, text=storable(part.text))
                for part in parts_of(one.response)
            ],
            new=known is not None and one not in known,
        )
        for one in shown
    ]
