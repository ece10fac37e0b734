"""The built-in optimizer model: a rulebook that answers operators' questions from a phrase book.

A stand-in for a large model, so that the whole system runs, is tested and is compared offline;
every reply is marked as such. It looks at the evidence in the question (which steps are missing or
false in the responses), but with probability `prior_bias` it ignores it and falls back on stock
replies, as the paper found of large models. For tasks that its phrase book does not have it works
weakly, with general advice. Draws its chances from the request alone: equal requests get equal
replies.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from random import Random

from optimizer.types import Completion, Outcome, Request
from serving.contracts.streaming import Piece, in_one_piece
from serving.engines import EngineDied
from serving.engines.rulebook.edit import add_request
from serving.engines.rulebook.metaprompt import Query
from serving.engines.rulebook.rules import CHANGING, RULES

STAND_IN = {"stand_in": "a rulebook, not a language model"}
_OPERATOR = re.compile(r"^Operator: (\w+)$", re.MULTILINE)


class RulebookEngine:
    """A language model's interface over the rulebook; stateless, so safe to replicate."""

    def __init__(self, prior_bias: float = 0.1, seed: int = 0) -> None:
        self._prior_bias = prior_bias
        self._seed = seed
        self._closed = False

    @property
    def name(self) -> str:
        """Return the model's name with its settings."""
        return f"builtin:optimizer(rulebook-1,prior_bias={self._prior_bias:g},seed={self._seed})"

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order."""
        return [self._answer(request) for request in requests]

    def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the answer in one piece, and its outcome."""
        return in_one_piece(self, request)

    async def check_health(self) -> None:
        """Check that it is not closed."""
        if self._closed:
            raise EngineDied(f"The rulebook {self.name} is closed.")

    def close(self) -> None:
        """Close it; there is nothing to release."""
        self._closed = True

    def _answer(self, request: Request) -> Completion:
        asked = next(
            (message.content for message in request.messages if _OPERATOR.search(message.content)),
            "",
        )
        operator = _OPERATOR.search(asked)
        rule = RULES.get(operator[1]) if operator else None
        text = "I only answer promptray's operators."
        if operator and rule:
            query = Query(asked, self._chance(request), self._prior_bias)
            fixed = operator[1] in CHANGING and (query.keep or query.wants_edits)
            text = add_request(query) if fixed else rule(query)
        words = sum(len(message.content.split()) for message in request.messages)
        return Completion(
            text, prompt_tokens=words, completion_tokens=len(text.split()), metadata=STAND_IN
        )

    def _chance(self, request: Request) -> Random:
        asked = "\0".join(
            [
                str(self._seed),
                str(request.sample),
                *(message.content for message in request.messages),
            ]
        )
        # From the request alone, so that equal requests get equal replies in every replica.
        return Random(hashlib.sha256(asked.encode("utf-8", "surrogatepass")).digest())
