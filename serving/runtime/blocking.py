"""Run a coroutine to its end from code that is not async, wherever that is called."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_blocking(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what a coroutine returns, as asyncio.run does.

    In a notebook an event loop runs in the main thread already, which blocks as long as a cell
    runs; there the coroutine has a loop in a thread of its own. Ctrl-C cancels it, and is raised
    when it has ended.

    Args:
        start: Makes the coroutine.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(start())
    call = _InThread(start)
    thread = threading.Thread(target=call.run, name="promptray-loop")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    except KeyboardInterrupt:
        call.cancel()
        thread.join()
        raise
    if call.problem is not None:
        raise call.problem
    found: T = call.outcome[0]
    return found


class _InThread:
    """A coroutine in another thread's loop."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._start = start
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self.outcome: list[Any] = []
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            self.outcome.append(asyncio.run(self._main()))
        except BaseException as problem:  # noqa: BLE001  # raised in the caller's thread
            self.problem = problem

    async def _main(self) -> Any:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        return await self._start()

    def cancel(self) -> None:
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
