"""Foreign text and figures as JSON carries them. Knows no view."""

from cluster.report.diff import word_diff
from cluster.service.objects import DiffPiece


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
