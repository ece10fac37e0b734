"""A language model with scripted answers, for tests, demonstrations and load tests.

It is a part of the product, not a patch in tests, and needs no network.
"""

from collections.abc import Callable, Sequence

from optimizer.types import Completion, Outcome, Request


class ScriptedModel:
    """Answers each request by calling `script`; a plain string becomes a Completion.

    It records the batches that it received.
    """

    def __init__(self, script: Callable[[Request], str | Outcome], name: str = "scripted") -> None:
        self._script = script
        self._name = name
        self.batches: list[tuple[Request, ...]] = []

    @property
    def name(self) -> str:
        """Return the name passed to the constructor."""
        return self._name

    @property
    def calls(self) -> int:
        """Return the number of requests so far."""
        return sum(len(batch) for batch in self.batches)

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Record the batch and return the script's outcome for each request."""
        self.batches.append(tuple(requests))
        answers = [self._script(request) for request in requests]
        return [Completion(answer) if isinstance(answer, str) else answer for answer in answers]
