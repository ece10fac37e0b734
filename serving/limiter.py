"""How many calls at once, and what to do when one fails for the moment. Knows nothing of models: it runs any awaitable job.

Concurrency is found by additive increase and multiplicative decrease (Chiu and Jain 1989, as in TCP): a full window of good
calls widens it by one, a call that the other side pushes back halves it, at most once a cool-down.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class Transient(Exception):
    """A job failed in a way that may pass: it is tried again."""

    def __init__(self, reason: str, overloaded: bool = False, wait_s: float | None = None) -> None:
        super().__init__(reason, overloaded, wait_s)  # all of them, so that it survives pickling
        self.reason = reason
        self.overloaded = overloaded
        """The other side asks for less: too many requests, or it timed out."""
        self.wait_s = wait_s
        """How long the other side asked us to wait, where it said so."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Bounded retries with exponential backoff and jitter (Brooker, "Exponential Backoff And Jitter", 2015). Figures are ours."""

    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0

    def wait_s(self, attempt: int, asked_s: float | None, rng: Random) -> float:
        """The pause after failed attempt number `attempt` (from 1): what was asked for, or up to the backoff's bound."""
        if asked_s is not None:
            return min(max(asked_s, 0.0), self.longest_wait_s)
        return float(rng.uniform(0.5, 1.0) * min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s))


class Window:
    """An adaptive number of calls in flight, between 1 and `most`. Waiters are let in in the order in which they came."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic, cool_down_s: float = 1.0) -> None:
        self._most = most
        self._clock = clock
        self._cool_down_s = cool_down_s
        self._size = float(most)
        self._shrunk_at = -cool_down_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0

    @property
    def size(self) -> int:
        return int(self._size)

    async def enter(self) -> None:
        if self.in_flight < self.size and not self._waiting:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled in the same moment: pass the place on
                self.leave()
            raise

    def leave(self) -> None:
        self.in_flight -= 1
        self._let_in()

    def went_well(self) -> None:
        self._size = min(self._most, self._size + 1 / self._size)
        self._let_in()

    def pushed_back(self) -> None:
        """Halves the window. Calls of one burst are pushed back together and count as one sign."""
        if self._clock() - self._shrunk_at >= self._cool_down_s:
            self._size = max(1.0, self._size / 2)
            self._shrunk_at = self._clock()

    def _let_in(self) -> None:
        while self._waiting and self.in_flight < self.size:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


class Limiter:
    """Runs jobs inside the window, and again while they are Transient. No place is held while it waits."""

    def __init__(
        self, most: int, retry: Retry | None = None, *, window: Window | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, rng: Random | None = None,
    ) -> None:
        self.window = window or Window(most)
        self._retry = retry or Retry()
        self._sleep = sleep
        self._rng = rng or Random()  # jitter only: no answer depends on it

    async def run(self, job: Callable[[], Awaitable[T]]) -> T:
        """The job's result. Raises the last Transient once all attempts are spent; other errors pass through at once."""
        for attempt in range(1, self._retry.attempts):
            try:
                return await self._once(job)
            except Transient as problem:
                wait_s = self._retry.wait_s(attempt, problem.wait_s, self._rng)
            await self._sleep(wait_s)
        return await self._once(job)

    async def _once(self, job: Callable[[], Awaitable[T]]) -> T:
        await self.window.enter()
        try:
            result = await job()
        except Transient as problem:
            if problem.overloaded:
                self.window.pushed_back()
            raise
        finally:
            self.window.leave()
        self.window.went_well()
        return result


async def all_of(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results in order. The first error cancels the calls that still run, waits for them to end, and is raised as it is."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
