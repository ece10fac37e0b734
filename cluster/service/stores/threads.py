"""Threads for what blocks: reading files and writing them, each owner's share of them bounded.

For one event loop.

The event loop's own pool of threads is not used in the service: it is small, everything in the
process shares it, and one owner whose reads hang would take all of it.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from cluster.service.core.errors import Unavailable
from cluster.service.core.fair_slots import FairSlots

T = TypeVar("T")
OWN = ""
"""The owner of what the service reads for itself."""
_PING = "\0ping"
"""No owner's name."""


class ReadingThreads:
    """A pool of threads.

    A thread whose work hangs counts against its owner for as long as it hangs.
    """

    def __init__(
        self,
        most: int = 16,
        most_per_owner: int = 4,
        most_waiting: int = 64,
        deadline_s: float = 60.0,
    ) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="reading")
        self._slots = FairSlots(most, most_per_owner, most_waiting, "reads", retry_after_s=1.0)
        self._deadline_s = deadline_s

    async def run(self, owner: str, work: Callable[..., T], *given: Any) -> T:
        """Return what the work returns.

        Raises Busy where the owner has too many waiting, Unavailable at the deadline.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._slots.take(owner)
                return await asyncio.wrap_future(self._started(owner, partial(work, *given)))
        except TimeoutError:
            raise Unavailable(
                f"The storage has not answered within {self._deadline_s:g} s: come again in a "
                "moment."
            ) from None

    async def ping(self) -> None:
        """Return as soon as a thread is free, so soon where not all of them hang."""
        await self.run(_PING, lambda: None)

    def _started(self, owner: str, work: Callable[[], T]) -> "Future[T]":
        loop = asyncio.get_running_loop()

        def ended(future: "Future[T]") -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._slots.free, owner)

        # With the thread, not with whoever waits for it: a caller who leaves does not get a second
        # thread for the first.
        future = self._pool.submit(contextvars.copy_context().run, work)
        future.add_done_callback(ended)
        return future
