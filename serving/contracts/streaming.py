"""An answer in pieces: text as it is written, and the whole outcome as the last item.

The pieces of a stream, put together, are the outcome's text. A stream that fails ends with a
Failed, whatever it has given before. Knows no engine and no protocol on the wire.
"""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Outcome, Request

Piece = str | Outcome
"""Some text, or at last the outcome."""


@runtime_checkable
class Streams(Protocol):
    """A language model that can answer in pieces."""

    def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield pieces of text, none of them empty, then the outcome.

        Errors of `complete` are raised here too, before the first piece.
        """


def pieces(model: LanguageModel, request: Request) -> AsyncIterator[Piece]:
    """Return the model's own stream, or the answer of a model without one as one piece."""
    return model.stream(request) if isinstance(model, Streams) else in_one_piece(model, request)


async def in_one_piece(model: LanguageModel, request: Request) -> AsyncIterator[Piece]:
    """Yield the answer of a model that has it at once."""
    (outcome,) = await model.complete([request])
    if isinstance(outcome, Completion) and outcome.text:
        yield outcome.text
    yield outcome


class GrowingText:
    """Cuts a text that grows at its end into pieces, and holds back what may still change.

    That is white space at the end, which is stripped if nothing follows, and a replacement
    character, in whose place the tokens to come may complete a letter.
    """

    def __init__(self) -> None:
        self._given = 0

    def grown_to(self, text: str) -> str:
        """Return what is new and final in the text so far; may be empty."""
        # A replacement character may be the first bytes of a letter that is not complete yet.
        sure = text.strip().rstrip("\N{REPLACEMENT CHARACTER}").rstrip()
        new, self._given = sure[self._given :], max(self._given, len(sure))
        return new

    def ended_with(self, text: str) -> str:
        """Return the rest of the whole text."""
        new, self._given = text[self._given :], len(text)
        return new
