"""Retries of calls that fail in a way that may pass, inside a concurrency limit.

A job that raises Transient is retried, after a pause, within limits of number and of time. Where
the other side is down, its attempts would be wasted: a circuit breaker holds the
jobs back until it is up again. Knows nothing of models: it runs any awaitable job.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar

from serving.concurrency import held_slots
from serving.concurrency.gate import AdaptiveGate, Gate

T = TypeVar("T")
MOST_EXCUSED = 5
"""Outages that a job survives [ours]: a request that brings the other side down each time must
not wait for it for ever.
"""


class Transient(Exception):
    """A job failed in a way that may pass: it is retried."""

    def __init__(
        self,
        reason: str,
        overloaded: bool = False,
        wait_s: float | None = None,
        unreached: bool = False,
    ) -> None:
        # All arguments, so that the exception survives pickling.
        super().__init__(reason, overloaded, wait_s, unreached)
        self.reason = reason
        self.overloaded = overloaded
        """The other side asks for fewer calls: too many requests, or it timed out."""
        self.wait_s = wait_s
        """Seconds that the other side asked callers to wait, where it did."""
        self.unreached = unreached
        """Nothing was sent: there was no connection."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Bounded retries with exponential backoff and jitter.

    Brooker, "Exponential Backoff And Jitter", 2015. Figures are [ours].
    """

    attempts: int = 5
    retry_s: float = 300.0
    """No attempt begins later than so many seconds after the first one failed."""
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    longest_requested_s: float = 120.0
    """Maximum of a pause that the other side requests."""

    def wait_s(self, attempt: int, requested_s: float | None, rng: Random) -> float:
        """Return the pause in seconds after failed attempt number `attempt` (from 1).

        It is the requested pause and up to a tenth more, so that callers with the same request do
        not come back at once; or up to the backoff's limit.
        """
        if requested_s is not None:
            return min(max(requested_s, 0.0) * rng.uniform(1.0, 1.1), self.longest_requested_s)
        return float(
            rng.uniform(0.5, 1.0)
            * min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s)
        )


class CircuitBreaker(Protocol):
    """A circuit breaker: knows whether the other side is up."""

    async def over(self) -> None:
        """Return when no outage is known; may raise what ends the run."""

    async def excuses(self, problem: Transient, last: bool, failing_since: float) -> bool:
        """Return whether this failure came from an outage that is over now.

        The attempts do not count then.

        Args:
            problem: The failure.
            last: There is no other attempt.
            failing_since: When the first attempt failed, by time.monotonic.
        """


class Hedge(Protocol):
    """May send a job a second time."""

    async def run(self, job: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the job."""


class Limiter:
    """Runs jobs inside the concurrency limit, and again while they are Transient.

    No slot is held during a pause; where answers are recorded, that of an answered job is held
    until its record is made (see held_slots).
    """

    def __init__(
        self,
        most: int,
        retry: Retry | None = None,
        *,
        gate: Gate | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        circuit_breaker: CircuitBreaker | None = None,
        hedge: Hedge | None = None,
        effort_of: Callable[[Any, float], float | None] = lambda result, seconds: None,
    ) -> None:
        """Set the limit and the policies.

        Args:
            most: Maximum of concurrent jobs, if `gate` is None.
            retry: Limits of the retries.
            gate: The gate.
            sleep: Sleeps for so many seconds.
            rng: Source of the jitter.
            clock: Seconds on a clock that does not go back.
            circuit_breaker: The circuit breaker.
            hedge: May send jobs twice.
            effort_of: Returns the load that a result after so many seconds indicates; None: no
                indication.
        """
        self.gate = gate or AdaptiveGate(most)
        self._retry = retry or Retry()
        self._sleep = sleep
        self._clock = clock
        # Jitter only: no answer depends on it.
        self._rng = rng or Random()
        self._circuit_breaker = circuit_breaker or _NoBreaker()
        self._hedge = hedge
        self._effort_of = effort_of

    async def run(self, job: Callable[[], Awaitable[T]], retry: Retry | None = None) -> T:
        """Return the job's result.

        Raises:
            Transient: The last one, once all attempts are spent; other errors pass through at once.
        """
        retry = retry or self._retry
        attempt, excused, failed_at = 0, 0, 0.0
        while True:
            # Before the slot is reserved: an outage must not occupy slots.
            await self._circuit_breaker.over()
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
                    await self._circuit_breaker.excuses(problem, last, failed_at)
                    and excused < MOST_EXCUSED
                ):
                    attempt, excused = 0, excused + 1
                    # A pause, so that not all callers return at once to what has just come back.
                    wait_s = retry.wait_s(1, None, self._rng)
                elif last:
                    raise
            await self._sleep(wait_s)

    async def _once(self, job: Callable[[], Awaitable[T]]) -> T:
        await held_slots.enter(self.gate)
        began, answered = self._clock(), False
        try:
            result = await (self._hedge.run(job) if self._hedge else job())
            answered = True
        except Transient as problem:
            if problem.overloaded:
                self.gate.pushed_back()
            raise
        finally:
            held_slots.leave(self.gate, answered)
        self.gate.went_well(self._effort_of(result, self._clock() - began))
        return result


class _NoBreaker:
    """The circuit breaker of callers that have none: it knows of no outage."""

    async def over(self) -> None:
        """Return at once."""

    async def excuses(self, problem: Transient, last: bool, failing_since: float) -> bool:
        """Return False."""
        return False


async def all_of(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results in order.

    The first error cancels the calls that still run, waits for them to end, and is raised
    unchanged.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
