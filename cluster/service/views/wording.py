"""Foreign text and figures as JSON carries them. Knows no view."""

from collections.abc import Collection, Sequence

from cluster.report.diff import word_diff
from cluster.report.examples import parts_of
from cluster.service.objects import DiffPiece, ExamplePart, WorkedExample
from optimizer.prompt import Demonstration


def plain(text: str) -> str:
    """The text with halves of characters (lone surrogates out of some reply) written as escapes: UTF-8 cannot carry them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def diff_of(old: str, new: str) -> list[DiffPiece]:
    """Word by word."""
    return [DiffPiece(kind=piece.kind, text=plain(piece.text)) for piece in word_diff(old, new)]


def examples_of(shown: Sequence[Demonstration], known: Collection[Demonstration] | None = None) -> list[WorkedExample]:
    """For reading; `known`: those of the parent, where there is one."""
    return [
        WorkedExample(
            input=plain(one.input), parts=[ExamplePart(label=part.label, text=plain(part.text)) for part in parts_of(one.response)],
            new=known is not None and one not in known)
        for one in shown]
