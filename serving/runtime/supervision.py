"""Background tasks that nobody awaits: each has a name, a declared policy for an exception that it
did not expect, and can be seen.

    every   a step that is repeated: after a fault it is repeated later, with growing pauses, for
            ever
    keep    work that ends by itself: after a fault it begins anew, with growing pauses, until it
            ends or gives up
    once    work that cannot be repeated: a fault is given to whoever answers for it

No fault passes in silence: it is logged, and `faults` tells of each task that does not get on, for
the service's health. Knows neither Ray nor what the tasks do. For one event loop.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from optimizer.errors import shortened

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Between two attempts of a task that fails; each pause is twice as long as the one before [ours].
"""
STEADY_S = 60.0
"""A task that was kept up for so long before a fault begins its pauses anew [ours]."""
LASTING = 3
"""Failures in a row that are more than a mishap: the health of the service tells of them [ours]."""
REMEMBERED = 100
"""Faults, the last ones."""
Work = Callable[[], Awaitable[None]]
_log = logging.getLogger(__name__)


def told(problem: BaseException) -> str:
    """An exception in one line: its kind and what it says."""
    return shortened(f"{type(problem).__name__}: {problem}".rstrip(": "), 500)


@dataclass(frozen=True)
class Fault:
    """What a background task raised, and when, by time.time()."""

    at: float
    task: str
    reason: str


@dataclass
class _Kept:
    """A task that is repeated or begun anew."""

    name: str
    failures: int = 0
    """In a row."""
    reason: str = ""
    failed_at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Pauses:
    """How long to wait after the nth failure in a row."""

    first_s: float = FIRST_PAUSE_S
    longest_s: float = LONGEST_PAUSE_S

    def after(self, failures: int) -> float:
        """Return the pause in seconds after so many failures in a row, of which there is at least
        one.
        """
        return float(min(self.longest_s, self.first_s * 2 ** min(failures - 1, 20)))


class Supervisor:
    """The background tasks of one part of a process, such as "the controller of jobs"."""

    def __init__(self, of: str, pauses: Pauses | None = None, steady_s: float = STEADY_S) -> None:
        self._of = of
        self._pauses = pauses or Pauses()
        self._steady_s = steady_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept: dict[str, _Kept] = {}
        self.recent: deque[Fault] = deque(maxlen=REMEMBERED)

    def every(self, name: str, every_s: float, step: Work) -> "asyncio.Task[None]":
        """Repeat the step, with a pause before each."""
        return self._spawn(self._every(self._begin(name), every_s, step), name)

    def keep(self, name: str, work: Work, attempts: int | None = None) -> "asyncio.Task[None]":
        """Do the work until it returns, anew after each fault; after `attempts` faults in a row the
        last one ends the task.
        """
        return self._spawn(self._keep(self._begin(name), work, attempts), name)

    def once(
        self, name: str, work: Work, failed: Callable[[Exception], None] = lambda problem: None
    ) -> "asyncio.Task[None]":
        """Do the work; what it raises is told to `failed`, after it was logged."""
        return self._spawn(self._once(name, work, failed), name)

    def report(self, name: str, problem: BaseException) -> None:
        """Log and remember a fault that whoever calls has dealt with."""
        self.recent.append(Fault(time.time(), name, told(problem)))
        _log.error("%s: %s has failed: %s", self._of, name, told(problem), exc_info=problem)

    @property
    def names(self) -> list[str]:
        """The tasks that are repeated or begun anew, in the order in which they were started."""
        return list(self._kept)

    def faults(self, least: int = 1) -> list[str]:
        """Return a sentence for each task that has failed `least` times in a row, and has not got
        on since.
        """
        return [
            f"{self._of}: {kept.name} fails, {kept.failures} times in a row, last "
            f"{time.time() - kept.failed_at:.0f} s ago "
            f"({kept.reason})."
            for kept in self._kept.values()
            if kept.failures >= least
        ]

    async def close(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, name: str) -> _Kept:
        kept = self._kept[name] = _Kept(name)
        return kept

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _every(self, kept: _Kept, every_s: float, step: Work) -> None:
        while True:
            await asyncio.sleep(
                max(every_s, self._pauses.after(kept.failures)) if kept.failures else every_s
            )
            try:
                await step()
            except Exception as problem:  # noqa: BLE001 - told by `faults` until a step succeeds
                self._failed(kept, problem)
            else:
                kept.failures = 0

    async def _keep(self, kept: _Kept, work: Work, attempts: int | None) -> None:
        while True:
            began_at = time.monotonic()
            try:
                await work()
            except Exception as problem:
                if time.monotonic() - began_at >= self._steady_s:
                    kept.failures = 0
                self._failed(kept, problem)
                if attempts is not None and kept.failures >= attempts:
                    raise
                await asyncio.sleep(self._pauses.after(kept.failures))
            else:
                self._kept.pop(kept.name, None)
                return

    async def _once(self, name: str, work: Work, failed: Callable[[Exception], None]) -> None:
        try:
            await work()
        except Exception as problem:  # noqa: BLE001 - given to whoever answers for it
            self.report(name, problem)
            failed(problem)

    def _failed(self, kept: _Kept, problem: Exception) -> None:
        kept.failures, kept.reason, kept.failed_at = kept.failures + 1, told(problem), time.time()
        self.report(kept.name, problem)
