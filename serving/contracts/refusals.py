"""A refusal that came as an answer: the model's own words, or a content filter's mark, in a reply
that is otherwise in order.

Beside it there is the refusal that came as an error, in place of a reply: a plain
Failed("refused"). To a search they are the same; only the two ends of the wire, client and gateway,
tell them apart. What an endpoint said in place of a reply is a Rejected. Knows no protocol.
"""

from dataclasses import dataclass
from typing import Literal

from optimizer.types import Completion, Failed

RefusalMark = Literal["message", "filter"]
"""The reply's message is a refusal; or a content filter stopped the answer before it began."""


@dataclass(frozen=True)
class Declined(Failed):
    """Failed("refused"), with how it was said."""

    mark: RefusalMark = "message"


@dataclass(frozen=True)
class Rejected(Failed):
    """An error in place of a reply, to one request: a Failed of either kind, with what was said.

    "refused" where it is about what was asked (moderation, a context that is too small for it),
    else "infrastructure": then it may be about the settings, and so about all requests.
    """

    status: int = 0
    words: str = ""
    """The endpoint's own, fit to be shown."""
    field: str = ""
    """The field of the body that it names."""
    of_size: bool = False
    """Is it about the size of what was asked, together with max_tokens?"""

    @property
    def concerns_all(self) -> bool:
        """Would harmless words in the same form be rejected too, if these were harmless?"""
        return self.kind == "infrastructure" or self.of_size


Said = Completion | Declined
"""What a model itself said, and a reply can hold; any other failure has an error in its place."""


def declined(
    reason: str, mark: RefusalMark = "message", tokens: tuple[int | None, int | None] = (0, 0)
) -> Declined:
    """A refusal of this sentence, with the tokens that it has cost: read and written."""
    return Declined("refused", reason, mark, prompt_tokens=tokens[0], completion_tokens=tokens[1])
