"""What to do when a call fails for the moment, inside a window of calls.

Knows nothing of models: it runs any awaitable job.

A job that raises Transient is tried again, after a pause, within bounds of number and of time.
Where the other side is not there at all, its attempts would be wasted: whoever knows of that (see
Patience) holds the jobs back until it is there again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar

from serving.concurrency import held_slots
from serving.concurrency.gate import Gate, Window

T = TypeVar("T")
MOST_EXCUSED = 5
"""Outages that a job survives [ours]: a request that brings the other side down each time must not
wait for it for ever.
"""


class Transient(Exception):
    """A job failed in a way that may pass: it is tried again."""

    def __init__(
        self,
        reason: str,
        overloaded: bool = False,
        wait_s: float | None = None,
        unreached: bool = False,
    ) -> None:
        super().__init__(
            reason, overloaded, wait_s, unreached
        )  # all of them, so that it survives pickling
        self.reason = reason
        self.overloaded = overloaded
        """The other side asks for less: too many requests, or it timed out."""
        self.wait_s = wait_s
        """How long the other side asked us to wait, where it said so."""
        self.unreached = unreached
        """Nothing was sent: there was no connection."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Bounded retries with exponential backoff and jitter (Brooker, "Exponential Backoff And
    Jitter", 2015). Figures are ours.
    """

    attempts: int = 5
    retry_s: float = 300.0
    """No attempt begins later than this after the first one failed."""
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    longest_asked_s: float = 120.0
    """What the other side asks us to wait is kept up to this."""

    def wait_s(self, attempt: int, asked_s: float | None, rng: Random) -> float:
        """The pause after failed attempt number `attempt` (from 1): what was asked for and up to a
        tenth more, so that all who were
        told the same do not come back at once; or up to the backoff's bound.
        """
        if asked_s is not None:
            return min(max(asked_s, 0.0) * rng.uniform(1.0, 1.1), self.longest_asked_s)
        return float(
            rng.uniform(0.5, 1.0)
            * min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s)
        )


class Patience(Protocol):
    """Who knows whether the other side is there at all."""

    async def over(self) -> None:
        """Returns when no outage is known. May raise what ends the run."""

    async def excuses(self, problem: Transient, last: bool, failing_since: float) -> bool:
        """Was this failure an outage's, which is over now? Then the attempts do not count.

        `last`: there is no other attempt;
        `failing_since`: when the first of them failed, by time.monotonic.
        """


class Hedge(Protocol):
    """Who may send a job a second time."""

    async def run(self, job: Callable[[], Awaitable[T]]) -> T: ...


class Limiter:
    """Runs jobs inside the window, and again while they are Transient.

    No place is held while it waits; where answers are recorded,
    that of an answered job is held until its answer is (see held_places).
    """

    def __init__(
        self,
        most: int,
        retry: Retry | None = None,
        *,
        window: Gate | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience: Patience | None = None,
        hedge: Hedge | None = None,
        effort_of: Callable[[Any, float], float | None] = lambda result, seconds: None,
    ) -> None:
        """`effort_of`: what a result that took so many seconds says of the other side's load; None:
        nothing.
        """
        self.window = window or Window(most)
        self._retry = retry or Retry()
        self._sleep = sleep
        self._clock = clock
        self._rng = rng or Random()  # jitter only: no answer depends on it
        self._patience = patience or _KnowsOfNone()
        self._hedge = hedge
        self._effort_of = effort_of

    async def run(self, job: Callable[[], Awaitable[T]], retry: Retry | None = None) -> T:
        """The job's result.

        Raises the last Transient once all attempts are spent; other errors pass through at once.
        """
        retry = retry or self._retry
        attempt, excused, failed_at = 0, 0, 0.0
        while True:
            await self._patience.over()
            try:
                return await self._once(job)
            except Transient as problem:
                attempt += 1
                failed_at = self._clock() if attempt == 1 else failed_at
                wait_s = retry.wait_s(attempt, problem.wait_s, self._rng)
                last = (
                    attempt >= retry.attempts or self._clock() + wait_s > failed_at + retry.retry_s
                )
                if (
                    await self._patience.excuses(problem, last, failed_at)
                    and excused < MOST_EXCUSED
                ):
                    attempt, excused = 0, excused + 1
                    wait_s = retry.wait_s(
                        1, None, self._rng
                    )  # not all at once upon what has just come back
                elif last:
                    raise
            await self._sleep(wait_s)

    async def _once(self, job: Callable[[], Awaitable[T]]) -> T:
        await held_slots.enter(self.window)
        began, answered = self._clock(), False
        try:
            result = await (self._hedge.run(job) if self._hedge else job())
            answered = True
        except Transient as problem:
            if problem.overloaded:
                self.window.pushed_back()
            raise
        finally:
            held_slots.leave(self.window, answered)
        self.window.went_well(self._effort_of(result, self._clock() - began))
        return result


class _KnowsOfNone:
    """The Patience of those who are not told of outages."""

    async def over(self) -> None:
        pass

    async def excuses(self, problem: Transient, last: bool, failing_since: float) -> bool:
        return False


async def all_of(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results in order.

    The first error cancels the calls that still run, waits for them to end, and is raised as it is.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
