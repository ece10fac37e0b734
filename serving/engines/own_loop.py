"""An event loop in a thread of its own.

It is for an engine that belongs to one loop, while its callers may come from any.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any, TypeVar

T = TypeVar("T")
ENDS_WITHIN_S = 30.0
"""Seconds for running tasks to end when the loop is closed [ours]."""


class OwnLoop:
    """An event loop that runs until `close`.

    Work passed to it runs in its thread; a cancelled caller cancels it there.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the result in a thread that has no event loop, or whose loop may wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of work in the other loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def items(self, source: Callable[[], AsyncGenerator[T, None]]) -> AsyncIterator[T]:
        """Yield the items of a generator that runs in the other loop, as they come.

        Closed early, it closes the generator.
        """
        here = asyncio.get_running_loop()
        arrived: asyncio.Queue[T | None] = asyncio.Queue()

        async def pump() -> None:
            try:
                async with aclosing(source()) as generator:
                    async for item in generator:
                        here.call_soon_threadsafe(arrived.put_nowait, item)
            finally:
                # Whatever making or closing it has raised: nobody must wait for more.
                here.call_soon_threadsafe(arrived.put_nowait, None)

        pumping = asyncio.run_coroutine_threadsafe(pump(), self._loop)
        try:
            while (item := await arrived.get()) is not None:
                yield item
            # This raises what the generator raised.
            await asyncio.wrap_future(pumping)
        finally:
            pumping.cancel()

    def close(self) -> None:
        """End the loop's tasks and then the thread; closing twice is allowed.

        A thread that does not end is left to the process's end.
        """
        if self._thread.is_alive():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(_end_tasks(), self._loop).result(ENDS_WITHIN_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(ENDS_WITHIN_S)
            if not self._thread.is_alive():
                self._loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
