"""What runs inside a replica.

An engine is a language model that is loaded, can say whether it is well, and can be closed.

Here is only what all engines have in common; serving/models.py loads one from a model's settings.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from optimizer.errors import EndpointError
from optimizer.types import Outcome, Request
from serving.contracts.streaming import Piece


class EngineDied(EndpointError):
    """The engine will answer nothing any more.

    Its replica tells its callers so and ends; they ask the one that takes its place.
    """


class Engine(Protocol):
    """The contract is that of LanguageModel and Streams, and the two methods below.

    `complete` and `stream` raise EngineDied.
    """

    @property
    def name(self) -> str: ...

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]: ...

    def stream(self, request: Request) -> AsyncIterator[Piece]: ...

    async def check_health(self) -> None:
        """Returns soon while the engine works.

        Raises EngineDied where it does not, and once it is closed.
        """

    def close(self) -> None:
        """Gives memory and threads back. Closing twice is allowed."""
