"""Threads for reading and writing files, with a limited number for each owner.

The event loop's own pool of threads is not used in the service: it is small, everything in the
process shares it, and one owner whose reads hang would take all of it. For one event loop.
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
"""A name that no owner has."""


class ReadingThreads:
    """A pool of threads; one whose work hangs counts against its owner for as long as it hangs."""

    def __init__(
        self,
        most: int = 16,
        most_per_owner: int = 4,
        most_waiting: int = 64,
        deadline_s: float = 60.0,
    ) -> None:
        """Start no thread yet.

        Args:
            most: Threads in all.
            most_per_owner: Threads of one owner.
            most_waiting: Requests of one owner that may wait.
            deadline_s: How long waiting and working may take together.
        """
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="reading")
        self._slots = FairSlots(most, most_per_owner, most_waiting, "reads", retry_after_s=1.0)
        self._deadline_s = deadline_s

    async def run(self, owner: str, work: Callable[..., T], *given: Any) -> T:
        """Run work in a thread, and return what it returns.

        Args:
            owner: Whose slot it takes.
            work: The function.
            given: Its arguments.

        Raises:
            Busy: The owner has too many requests waiting.
            Unavailable: It has not ended at the deadline.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._slots.take(owner)
                return await asyncio.wrap_future(self._started(owner, partial(work, *given)))
        except TimeoutError:
            raise Unavailable(
                f"The storage has not answered within {self._deadline_s:g} s: try again in a "
                "moment."
            ) from None

    async def ping(self) -> None:
        """Return as soon as a thread is free, which is soon unless all of them hang."""
        await self.run(_PING, lambda: None)

    def _started(self, owner: str, work: Callable[[], T]) -> "Future[T]":
        loop = asyncio.get_running_loop()

        def ended(future: "Future[T]") -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._slots.free, owner)

        # The slot is freed with the thread, not with the caller: one who leaves does not get a
        # second thread while the first still works.
        future = self._pool.submit(contextvars.copy_context().run, work)
        future.add_done_callback(ended)
        return future
