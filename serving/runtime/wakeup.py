"""Wakes all who wait for something to change, in one event loop."""

import asyncio


class Wakeup:
    """Whoever waits takes `next` before looking for what is new: then no change is missed."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """Return the event that the next wake sets."""
        return self._next

    def wake(self) -> None:
        """Wake all who wait now; who comes later waits for the next one."""
        woken, self._next = self._next, asyncio.Event()
        woken.set()
