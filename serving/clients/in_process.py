"""A model in this process, for one-off answers without Ray.

Knows nothing of the engine but how to load it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from optimizer.types import Outcome, Request
from serving.contracts.streaming import Piece
from serving.engines import Engine


class InProcessModel:
    """Loads its engine at the first call, in a thread, once."""

    def __init__(self, load: Callable[[], Engine], name: str) -> None:
        self._load = load
        self._name = name
        self._loading: asyncio.Task[Engine] | None = None

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order."""
        return await (await self._engine()).complete(requests)

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the pieces of one answer, and its outcome."""
        async for piece in (await self._engine()).stream(request):
            yield piece

    async def _engine(self) -> Engine:
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._load))
        return await asyncio.shield(self._loading)
