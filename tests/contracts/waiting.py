"""Waiting in tests for what other processes do."""

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Waits for what must become true.

    The limit is generous: the machine may be busy. Asks in a thread: Ray's answers block.
    """
    async with asyncio.timeout(limit_s):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.05)
