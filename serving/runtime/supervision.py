"""Background tasks that nobody awaits.

Each has a name, a declared policy for an unexpected exception, and can be inspected.

    every       a step that is repeated: after a fault it is repeated later, with growing pauses,
                for ever
    until_done  work that ends by itself: after a fault it starts again, with growing pauses, until
                it ends or gives up
    once        work that cannot be repeated: a fault is passed to its owner
    finish      work that must not be left half done, such as a write in a thread: it goes on when
                its caller is cancelled, and `close` waits for it

No fault passes in silence: it is logged, and `faults` reports each task that makes no progress, for
the service's health. Knows neither Ray nor what the tasks do. For one event loop.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from optimizer.errors import shortened

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Longest pause between two attempts of a task that fails; each pause is twice as long as the
one before [ours].
"""
STEADY_S = 60.0
"""A task that ran for so many seconds before a fault starts its pauses from the first again
[ours].
"""
LASTING = 3
"""Failures in a row from which on the health of the service reports them [ours]."""
REMEMBERED = 100
"""Number of latest faults in memory."""
CLOSES_WITHIN_S = 10.0
"""How long `close` waits for work that cannot be cancelled; a storage that hangs keeps it for ever
[ours].
"""
T = TypeVar("T")
Work = Callable[[], Awaitable[None]]
_log = logging.getLogger(__name__)


def describe(problem: BaseException) -> str:
    """Return an exception in one line: its kind and its message."""
    return shortened(f"{type(problem).__name__}: {problem}".rstrip(": "), 500)


@dataclass(frozen=True)
class Fault:
    """The exception of a background task, and its time by time.time()."""

    at: float
    task: str
    reason: str


@dataclass
class _TaskState:
    """The state of a task that is repeated or started again."""

    name: str
    failures: int = 0
    """Failures in a row."""
    reason: str = ""
    failed_at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Backoff:
    """The pauses after the nth failure in a row."""

    first_s: float = FIRST_PAUSE_S
    longest_s: float = LONGEST_PAUSE_S

    def after(self, failures: int) -> float:
        """Return the pause in seconds after so many failures in a row, at least one."""
        return float(min(self.longest_s, self.first_s * 2 ** min(failures - 1, 20)))


class Supervisor:
    """The background tasks of one part of a process, such as "the controller of jobs"."""

    def __init__(self, of: str, backoff: Backoff | None = None, steady_s: float = STEADY_S) -> None:
        self._of = of
        self._backoff = backoff or Backoff()
        self._steady_s = steady_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._finishing: set[asyncio.Task[Any]] = set()
        self._states: dict[str, _TaskState] = {}
        self.recent: deque[Fault] = deque(maxlen=REMEMBERED)

    def every(self, name: str, every_s: float, step: Work) -> "asyncio.Task[None]":
        """Repeat the step, with a pause before each."""
        return self._spawn(self._every(self._begin(name), every_s, step), name)

    def until_done(
        self, name: str, work: Work, attempts: int | None = None
    ) -> "asyncio.Task[None]":
        """Do the work until it returns, and start it again after each fault.

        After `attempts` faults in a row the last one ends the task.
        """
        return self._spawn(self._until_done(self._begin(name), work, attempts), name)

    def once(
        self, name: str, work: Work, failed: Callable[[Exception], None] = lambda problem: None
    ) -> "asyncio.Task[None]":
        """Do the work; an exception is logged and passed to `failed`."""
        return self._spawn(self._once(name, work, failed), name)

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work to its end, also when the caller is cancelled; `close` waits for it.

        A thread cannot be cancelled: without this, what it writes could come after the writes of
        whoever takes the storage next.
        """
        task = asyncio.create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return await asyncio.shield(task)

    def report(self, name: str, problem: BaseException) -> None:
        """Log and remember a fault that the caller has dealt with."""
        self.recent.append(Fault(time.time(), name, describe(problem)))
        _log.error("%s: %s has failed: %s", self._of, name, describe(problem), exc_info=problem)

    @property
    def names(self) -> list[str]:
        """Return the tasks that are repeated or restarted, in the order of their start."""
        return list(self._states)

    def faults(self, least: int = 1) -> list[str]:
        """Return a sentence for each task that failed `least` times in a row, and still fails."""
        return [
            f"{self._of}: {state.name} fails, {state.failures} times in a row, last "
            f"{time.time() - state.failed_at:.0f} s ago "
            f"({state.reason})."
            for state in self._states.values()
            if state.failures >= least
        ]

    async def close(self) -> None:
        """Cancel all tasks, and wait until they, and the work to be finished, have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=CLOSES_WITHIN_S)

    def _begin(self, name: str) -> _TaskState:
        state = self._states[name] = _TaskState(name)
        return state

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        # asyncio holds tasks weakly: without this reference one could vanish.
        task.add_done_callback(self._tasks.discard)
        return task

    async def _every(self, state: _TaskState, every_s: float, step: Work) -> None:
        while True:
            await asyncio.sleep(
                max(every_s, self._backoff.after(state.failures)) if state.failures else every_s
            )
            try:
                await step()
            except Exception as problem:  # noqa: BLE001 - reported by `faults` until a step succeeds
                self._failed(state, problem)
            else:
                state.failures = 0

    async def _until_done(self, state: _TaskState, work: Work, attempts: int | None) -> None:
        while True:
            began_at = time.monotonic()
            try:
                await work()
            except Exception as problem:
                # A fault after a long healthy run is a new one, not the next in a row.
                if time.monotonic() - began_at >= self._steady_s:
                    state.failures = 0
                self._failed(state, problem)
                if attempts is not None and state.failures >= attempts:
                    raise
                await asyncio.sleep(self._backoff.after(state.failures))
            else:
                self._states.pop(state.name, None)
                return

    async def _once(self, name: str, work: Work, failed: Callable[[Exception], None]) -> None:
        try:
            await work()
        except Exception as problem:  # noqa: BLE001 - passed to its owner
            self.report(name, problem)
            failed(problem)

    def _failed(self, state: _TaskState, problem: Exception) -> None:
        state.failures, state.reason, state.failed_at = (
            state.failures + 1,
            describe(problem),
            time.time(),
        )
        self.report(state.name, problem)
