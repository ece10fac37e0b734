"""The circuit breaker: every call of a client waits together for an endpoint that is down.

One prober checks when it is back. Knows no protocol: the probe is passed in. Implements
retrying.CircuitBreaker.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from optimizer.errors import EndpointError
from serving.concurrency.retrying import Transient

SUSPICIOUS = 3
"""Attempts in a row without a connection, after which the endpoint is probed [ours]."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
"""Longest pause between two probes [ours]."""


@runtime_checkable
class Pausable(Protocol):
    """A model that may have to wait for its endpoint."""

    @property
    def pause(self) -> str:
        """Return one sentence on the outage and the end of the wait; "" while there is none."""


def pause_of(*models: object) -> str:
    """Return the sentences of those of some models that are waiting, each once."""
    return " ".join(
        dict.fromkeys(
            model.pause for model in models if isinstance(model, Pausable) and model.pause
        )
    )


class EndpointCircuitBreaker:
    """The outage of one endpoint.

    Waiters get an EndpointError if the wait takes too long. A later call starts again, with a
    probe.

    Args:
        where: The endpoint's address.
        is_there: Sends the endpoint one cheap request, and raises AccessError where it is refused.
        longest_s: Seconds to wait; 0 waits for nothing.
        clock: Seconds on a clock that does not go back.
        sleep: Sleeps for so many seconds.
    """

    def __init__(
        self,
        where: str,
        is_there: Callable[[], Awaitable[bool]],
        longest_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._where = where
        self._is_there = is_there
        self._longest_s = longest_s
        self._clock = clock
        self._sleep = sleep
        self._prober: asyncio.Task[bool] | None = None
        self._waiters = 0
        self._unreached = 0
        self._answered_at = -math.inf
        self.pause = ""

    async def over(self) -> None:
        """Return at once where no outage is known, else when it is over.

        Raises:
            EndpointError: If it takes too long.
            AccessError: If the endpoint refuses the key.
        """
        if self._prober:
            await self._wait(self._prober)

    async def excuses(self, problem: Transient, last: bool, failing_since: float) -> bool:
        """Return whether an outage caused this failure (see retrying.CircuitBreaker).

        An endpoint that answered other calls while one failed again and again is not down, and is
        not probed.

        Raises:
            EndpointError: If the outage takes too long.
            AccessError: If the endpoint refuses the key.
        """
        self._unreached = self._unreached + 1 if problem.unreached else 0
        # An endpoint that answered others meanwhile is up; this request is at fault.
        suspected = last and self._answered_at <= failing_since
        if not (suspected or self._prober or self._unreached >= SUSPICIOUS):
            return False
        if self._prober is None:
            self._prober = asyncio.create_task(self._probe(problem.reason))
            self._prober.add_done_callback(self._end)
        return await self._wait(self._prober)

    def answered(self) -> None:
        """Record that the endpoint has answered."""
        self._unreached, self._answered_at = 0, self._clock()

    async def _wait(self, prober: asyncio.Task[bool]) -> bool:
        """Wait for the prober.

        Shielded, so that one waiter who leaves does not end the wait of the others; the last one
        does.
        """
        self._waiters += 1
        try:
            return await asyncio.shield(prober)
        finally:
            self._waiters -= 1
            if not self._waiters:
                prober.cancel()
                # At once, so that nobody starts to wait for a prober that is being cancelled.
                self._end(prober)

    async def _probe(self, reason: str) -> bool:
        """Return whether there was an outage; it is over then."""
        if await self._is_there():
            return False
        await self._until_it_is_there(reason)
        return True

    def _end(self, prober: asyncio.Task[bool]) -> None:
        if prober.done() and not prober.cancelled():
            # Marked as retrieved: the last waiter may have left in this very moment.
            prober.exception()
        if self._prober is prober:
            self._prober, self._unreached, self.pause = None, 0, ""

    async def _until_it_is_there(self, reason: str) -> None:
        if self._longest_s <= 0:
            raise EndpointError(f"{reason} Check that base_url {self._where} is right and answers.")
        began, pause_s, now = self._clock(), FIRST_PAUSE_S, datetime.now().astimezone()
        self.pause = (
            f"{self._where} does not answer since {now:%H:%M:%S}: waiting for it until "
            f"{now + timedelta(seconds=self._longest_s):%H:%M:%S} at most."
        )
        while (left_s := began + self._longest_s - self._clock()) > 0:
            await self._sleep(min(pause_s, left_s))
            if await self._is_there():
                return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        raise EndpointError(
            f"base_url {self._where} has not answered for {self._longest_s:g} s "
            f"({reason.rstrip('.')}): "
            "once it does, the same command continues where this one ended."
        )
