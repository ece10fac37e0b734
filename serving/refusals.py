"""A refusal that came as an answer: the model's own words, or a content filter's mark, in a reply that is otherwise in order.

Beside it there is the refusal that came as an error, in place of a reply: a plain Failed("refused"). To a search they are the same;
only the two ends of the wire, client and door, tell them apart. Knows no protocol.
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


Said = Completion | Declined
"""What a model itself said, and a reply can hold; any other failure has an error in its place."""


def declined(reason: str, mark: RefusalMark = "message", tokens: tuple[int | None, int | None] = (0, 0)) -> Declined:
    """A refusal of this sentence, with the tokens that it has cost: read and written."""
    return Declined("refused", reason, mark, prompt_tokens=tokens[0], completion_tokens=tokens[1])
