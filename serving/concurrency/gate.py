"""Gates: slots for calls in flight.

A `Gate` admits as many calls as its size; an `AdaptiveGate` finds its size by itself, from how
calls end. Knows nothing of models, retries or Ray.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from serving.concurrency.aimd import AIMD, COOL_DOWN_S


class Gate(ABC):
    """Slots whose waiters are admitted in order of arrival; for one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0

    @property
    @abstractmethod
    def size(self) -> int:
        """Return the number of slots."""

    @abstractmethod
    def went_well(self, effort: float | None = None) -> None:
        """Record a call that was answered.

        `effort` is as in aimd.effort, None where it is not known.
        """

    @abstractmethod
    def pushed_back(self) -> None:
        """Record that the other side asked for fewer calls."""

    async def aclose(self) -> None:
        """Release what it holds of others."""
        return

    @property
    def waiting(self) -> int:
        """Return the number of waiting calls."""
        return sum(not turn.done() for turn in self._waiting)

    async def enter(self) -> None:
        """Wait for a slot."""
        # Not past those who wait: a free slot belongs to the first of them.
        if self.in_flight < self.size and not self._waiting:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # Admitted and cancelled in the same moment: the slot goes to the next waiter.
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Release a slot."""
        self.in_flight -= 1
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        while self._waiting and self.in_flight < self.size:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


class AdaptiveGate(Gate):
    """An adaptive number of calls in flight, between 1 and `most`, of this caller alone."""

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        cool_down_s: float = COOL_DOWN_S,
    ) -> None:
        super().__init__()
        self._aimd = AIMD(most, cool_down_s)
        self._clock = clock

    @property
    def size(self) -> int:
        """Return the number of slots."""
        return self._aimd.size

    def went_well(self, effort: float | None = None) -> None:
        """Record a call that was answered, and admit waiters."""
        self._aimd.went_well()
        if effort is not None:
            self._aimd.took(effort, 1, self._clock())
        self._admit_waiting()

    def pushed_back(self) -> None:
        """Halve the limit; calls of one burst are pushed back together and count as one sign."""
        self._aimd.pushed_back(self._clock())
