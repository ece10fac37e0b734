"""Announcements of a batch that goes out.

Calls wait for a slot first, and what never went out costs nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from optimizer.protocols import LanguageModel
from optimizer.types import Outcome, Request

T = TypeVar("T")
Sending = Callable[[], Awaitable[None]]


@runtime_checkable
class Announcing(Protocol):
    """A LanguageModel that can announce when it sends."""

    async def complete_announced(
        self, requests: Sequence[Request], sending: Sending
    ) -> list[Outcome]:
        """Return the outcomes, as LanguageModel.complete.

        `sending` is awaited once, before the first of these requests goes out; where it raises,
        none does, and its error is raised.
        """
        ...


class Once:
    """An announcement that is made once, before any number of calls and attempts."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._turn = asyncio.Lock()
        self._made = False

    async def before(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make the announcement if needed, then return the result of the call."""
        async with self._turn:
            if not self._made:
                await self._sending()
                self._made = True
        return await call()


async def announced(
    model: LanguageModel, requests: Sequence[Request], sending: Sending
) -> list[Outcome]:
    """Return the model's outcomes, with an announcement.

    A model that does not announce anything is assumed to send at once.
    """
    if isinstance(model, Announcing):
        return await model.complete_announced(requests, sending)
    await sending()
    return await model.complete(requests)
