"""Refusals that came as an answer: the model's own words, or a content filter's mark.

The reply is otherwise in order. A refusal may also come as an error, in place of a reply: a plain
Failed("refused"). To a search they are the same; only the two ends of the wire, client and gateway,
distinguish them. An endpoint's error in place of a reply is a Rejected. Knows no protocol.
"""

from dataclasses import dataclass
from typing import Literal

from optimizer.types import Completion, Failed

RefusalMark = Literal["message", "filter"]
"""The reply's message is a refusal; or a content filter stopped the answer before it began."""


@dataclass(frozen=True)
class Declined(Failed):
    """Failed("refused") that records the form of the refusal."""

    mark: RefusalMark = "message"


@dataclass(frozen=True)
class Rejected(Failed):
    """An error in place of a reply, to one request: a Failed of either kind, with its message.

    "refused" where it is about the content (moderation, a context that is too small for it), else
    "infrastructure": then it may be about the settings, and so about all requests.
    """

    status: int = 0
    words: str = ""
    """The endpoint's own message, safe to show."""
    field: str = ""
    """The field of the request body that it names."""
    of_size: bool = False
    """The error is about the size of the request, together with max_tokens."""

    @property
    def concerns_all(self) -> bool:
        """Return whether harmless words in the same form would be rejected too."""
        # A refusal for size may be about max_tokens, which all requests share.
        return self.kind == "infrastructure" or self.of_size


Answer = Completion | Declined
"""The outcomes that a reply can hold; any other failure has an error in its place."""


def declined(
    reason: str, mark: RefusalMark = "message", tokens: tuple[int | None, int | None] = (0, 0)
) -> Declined:
    """Return a refusal with this reason and its cost in tokens (read, written)."""
    return Declined("refused", reason, mark, prompt_tokens=tokens[0], completion_tokens=tokens[1])
