"""Tells people when a model's endpoint is down and waited for, where no trial does. Knows no endpoint."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving.clients.outage import pause_of

LOOK_EVERY_S = 0.5


@asynccontextmanager
async def pauses_told(tell: Callable[[str], None], *models: object) -> AsyncIterator[None]:
    """As long as the block lasts, a line when the models begin to wait, and when they go on."""
    telling = asyncio.create_task(_tell(tell, models))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(tell: Callable[[str], None], models: tuple[object, ...]) -> None:
    told = ""
    while True:
        if (paused := pause_of(*models)) != told:
            told = paused
            tell(f"Paused, as {paused}" if paused else "The endpoint answers again, it goes on.")
        await asyncio.sleep(LOOK_EVERY_S)
