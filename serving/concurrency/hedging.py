"""Hedging: a slow call is sent a second time, and the first answer counts.

Dean & Barroso 2013, "The tail at scale". Off by default: the second call may cost. Knows no
protocol. Implements retrying.Hedge.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from serving.concurrency.gate import Gate
from serving.concurrency.retrying import Transient

T = TypeVar("T")
ENOUGH = 20
"""Calls that must have been measured before any is sent twice."""
REMEMBERED = 500
"""Number of latest calls that determine the percentile [ours]."""


class Hedging:
    """Sends again what takes longer than `percentile` of the calls so far, such as 95.

    The second call needs a slot, too.
    """

    def __init__(
        self, percentile: float, gate: Gate, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._percentile = percentile
        self._gate = gate
        self._clock = clock
        self._took_s: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def hedge_after_s(self) -> float | None:
        """Return the seconds after which a call is sent again; None while too little is known."""
        if len(self._took_s) < ENOUGH:
            return None
        ordered = sorted(self._took_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * self._percentile / 100))]

    async def run(self, job: Callable[[], Awaitable[T]]) -> T:
        """Return the job's result.

        The caller holds a slot already; the second call waits for one of its own.
        """
        first = asyncio.ensure_future(self._timed(job))
        sent: list[asyncio.Future[T]] = [first]
        try:
            await asyncio.wait(sent, timeout=self.hedge_after_s)
            if not first.done():
                sent.append(asyncio.ensure_future(self._again(job)))
            return await _first_answer(sent)
        finally:
            for task in sent:
                # This closes the loser's connection.
                task.cancel()
            # Waited for, so that no task outlives the call.
            await asyncio.gather(*sent, return_exceptions=True)

    async def _again(self, job: Callable[[], Awaitable[T]]) -> T:
        await self._gate.enter()
        try:
            return await self._timed(job)
        finally:
            self._gate.leave()

    async def _timed(self, job: Callable[[], Awaitable[T]]) -> T:
        began = self._clock()
        result = await job()
        self._took_s.append(self._clock() - began)
        return result


async def _first_answer(sent: list[asyncio.Future[T]]) -> T:
    """Return the first answer; a transient failure waits for the other call.

    Where both fail, the first one's failure is raised.
    """
    waiting = set(sent)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not isinstance(task.exception(), Transient):
                return task.result()
    return sent[0].result()
