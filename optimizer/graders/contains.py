"""Contains: the targets stand somewhere in the response."""

from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

from optimizer.errors import shortened
from optimizer.graders.base import PureGrader, folded, said
from optimizer.types import Completion, Example, Score, graded

_MOST_NAMED = 5
"""Maximum number of targets that feedback names."""


@dataclass(frozen=True)
class Contains(PureGrader):
    """Looks for the targets in the response; reasoning between <think> tags is not looked at."""

    match: Literal["any", "all"] = "any"
    """`any`: one of the targets is enough. `all`: the score is the share of them that is there."""
    case: bool = False
    """Upper and lower case are different."""

    @property
    def accepts(self) -> str:  # type: ignore[override]
        """Return which answer is right."""
        which = "one of the targets" if self.match == "any" else "all of the targets"
        return f"a response that contains {which}{', in the same case' if self.case else ''}"

    def score(self, response: Completion, example: Example) -> Score:
        """Return 1 for a target that is there, or the share of them."""
        text = self._comparable(said(response))
        wanted = [answer for answer in example.answers if answer.strip()]
        missing = [answer for answer in wanted if self._comparable(answer) not in text]
        there = [answer for answer in wanted if answer not in missing]
        if there and (self.match == "any" or not missing):
            return Score("right", there[0])
        if response.truncated:
            return Score("truncated")
        named = ", ".join(repr(shortened(answer, 80)) for answer in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        which = "any of" if self.match == "any" and len(missing) > 1 else ""
        feedback = f"The response does not contain {which} {named}{more}.".replace("  ", " ")
        return graded(len(there) / len(wanted) if wanted else 0.0, "".join(there[:1]), feedback)

    def _comparable(self, text: str) -> str:
        return " ".join(normalize("NFC", text).split()) if self.case else folded(text)
