"""A language model that answers from a script: for tests, demonstrations and load, without any
network. A product, not a patch.
"""

from collections.abc import Callable, Sequence

from optimizer.types import Completion, Outcome, Request


class ScriptedModel:
    """Answers each request by calling `script`; a plain string becomes a Completion.

    Keeps the batches that it was asked.
    """

    def __init__(self, script: Callable[[Request], str | Outcome], name: str = "scripted") -> None:
        self._script = script
        self._name = name
        self.batches: list[tuple[Request, ...]] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def calls(self) -> int:
        return sum(len(batch) for batch in self.batches)

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self.batches.append(tuple(requests))
        answers = [self._script(request) for request in requests]
        return [Completion(answer) if isinstance(answer, str) else answer for answer in answers]
