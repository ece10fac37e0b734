"""Run an experiment or an evaluation for a caller in Python, with or without a running loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def call_outside_of_loops(run: Callable[[Callable[[], bool]], T]) -> T:
    """Return what a function returns, run where no event loop runs.

    A notebook has a running loop in its main thread; there the function runs in a thread of its
    own. Ctrl-C (the notebook's stop button) asks it to stop, and is raised when it has.

    Args:
        run: Gets a function that returns whether it is to stop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run(lambda: False)
    stop = threading.Event()
    outcome: list[T] = []
    problems: list[BaseException] = []

    def in_thread() -> None:
        try:
            outcome.append(run(stop.is_set))
        except BaseException as problem:  # noqa: BLE001  # raised in the caller's thread
            problems.append(problem)

    thread = threading.Thread(target=in_thread, name="promptray")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    except KeyboardInterrupt:
        stop.set()
        thread.join()
        raise
    if problems:
        raise problems[0]
    return outcome[0]
