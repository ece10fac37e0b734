"""Engines: the part of a model that runs inside a replica.

An engine is a language model that is loaded, can report its health, and can be closed. Here is only
what all engines share; serving/models.py loads one from a model's settings.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from optimizer.errors import EndpointError
from optimizer.types import Outcome, Request
from serving.contracts.streaming import Piece


class EngineDied(EndpointError):
    """The engine will answer nothing any more.

    Its replica raises this in its callers and ends; they call the replica that replaces it.
    """


class Engine(Protocol):
    """The interface of an engine: LanguageModel, Streams, and the two methods below.

    `complete` and `stream` raise EngineDied.
    """

    @property
    def name(self) -> str:
        """Return the model's identity."""

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order."""

    def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the pieces of one answer, and its outcome."""

    async def check_health(self) -> None:
        """Return soon while the engine works.

        Raises:
            EngineDied: If it does not work, or is closed.
        """

    def close(self) -> None:
        """Release memory and threads; closing twice is allowed."""
