"""Places for calls in flight. Knows nothing of models, retries or Ray.

A `Gate` lets in as many as its size says; a `Window` is a gate that finds its size by itself, from
how calls end.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from serving.concurrency.aimd import AIMD, COOL_DOWN_S


class Gate(ABC):
    """Waiters are let in in the order in which they came. For one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0

    @property
    @abstractmethod
    def size(self) -> int:
        """Places there are."""

    @abstractmethod
    def went_well(self, effort: float | None = None) -> None:
        """A call was answered; `effort` as in congestion.effort, None where it says nothing."""

    @abstractmethod
    def pushed_back(self) -> None:
        """The other side asks for less."""

    async def aclose(self) -> None:
        """Gives back what it holds of others."""
        return

    @property
    def waiting(self) -> int:
        return sum(not turn.done() for turn in self._waiting)

    async def enter(self) -> None:
        if self.in_flight < self.size and not self._waiting:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if (
                turn.done() and not turn.cancelled()
            ):  # let in and cancelled in the same moment: pass the place on
                self.leave()
            raise

    def leave(self) -> None:
        self.in_flight -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.in_flight < self.size:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


class Window(Gate):
    """An adaptive number of calls in flight, between 1 and `most`, of this caller alone."""

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        cool_down_s: float = COOL_DOWN_S,
    ) -> None:
        super().__init__()
        self._congestion = AIMD(most, cool_down_s)
        self._clock = clock

    @property
    def size(self) -> int:
        return self._congestion.size

    def went_well(self, effort: float | None = None) -> None:
        self._congestion.went_well()
        if effort is not None:
            self._congestion.took(effort, 1, self._clock())
        self._let_in()

    def pushed_back(self) -> None:
        """Halves the window. Calls of one burst are pushed back together and count as one sign."""
        self._congestion.pushed_back(self._clock())
