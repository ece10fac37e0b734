"""A model that says when a batch goes out: calls wait for a place first, and what never went out
costs nothing.
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
    """A LanguageModel that can say when it sends."""

    async def complete_announced(
        self, requests: Sequence[Request], sending: Sending
    ) -> list[Outcome]:
        """As LanguageModel.complete.

        `sending` is awaited once, before the first of these requests goes out; where it raises,
        none
        does, and its error is raised.
        """
        ...


class Once:
    """An announcement that is made once, however many calls and attempts it stands before."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._turn = asyncio.Lock()
        self._made = False

    async def before(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call, when it is announced."""
        async with self._turn:
            if not self._made:
                await self._sending()
                self._made = True
        return await call()


async def announced(
    model: LanguageModel, requests: Sequence[Request], sending: Sending
) -> list[Outcome]:
    """The model's outcomes.

    One that does not announce anything sends at once, as far as anybody knows.
    """
    if isinstance(model, Announcing):
        return await model.complete_announced(requests, sending)
    await sending()
    return await model.complete(requests)
