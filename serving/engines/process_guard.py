"""A guard against processes of an engine that outlive their replica, however the replica ends.

vLLM's core runs in a process of its own, which does not notice when the replica is killed: it would
occupy its GPU for ever. The process guard is one more process, a very small one: it waits for its
parent's end, and then kills what carries its mark. The mark is an environment variable, so it
reaches what the engine starts, and what that starts in turn. Knows no engine.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

MARK = "PROMPTRAY_ENGINE"
_NO_OVERWRITING = "SPT_NOENV"
"""vLLM gives its processes a title with setproctitle, which otherwise overwrites the environment
that other processes can read.
"""
_LOOK_EVERY_S = 0.5
_DYING_S = 0.05
_TRIES = 200


class ProcessGuard:
    """Marks what is started inside `marking`, and kills it when this process ends.

    `close` kills it, too.
    """

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        # -P: this file's folder stays out of the path, where modules are named like the packages
        # they wrap. Its own session: a Ctrl-C meant for the replica must not end the process guard
        # first.
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(os.getpid()), self.token],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @contextmanager
    def marking(self) -> Iterator[None]:
        """Mark the processes started in this block; for one engine at a time in a process.

        The environment is shared by the whole process.
        """
        # Python's own, for this whole process: it must not get the mark of one engine
        resource_tracker.ensure_running()
        os.environ.update({MARK: self.token, _NO_OVERWRITING: "1"})
        try:
            yield
        finally:
            for name in (MARK, _NO_OVERWRITING):
                os.environ.pop(name, None)

    def close(self) -> None:
        """Kill the marked processes that still live; closing twice is allowed."""
        kill_marked(self.token)
        self._process.kill()
        self._process.wait()


def kill_marked(token: str) -> None:
    """Kill every process with this mark, and check again: one may just have started another."""
    import psutil

    # Repeated, since a process may start another between the listing and the kill.
    for _ in range(_TRIES):
        alive = marked(token)
        if not alive:
            return
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        # Not waited for: their parent must get their exit codes.
        time.sleep(_DYING_S)


def marked(token: str) -> list[Any]:
    """Return the processes with this mark, of psutil's kind."""
    import psutil

    return [process for process in psutil.process_iter() if _mark(process) == token]


def _mark(process: Any) -> str | None:
    import psutil

    try:
        mark: str | None = process.environ().get(MARK)
    except psutil.Error:
        # It is gone meanwhile, or another user's.
        return None
    return mark


def _watch(parent: int, token: str) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    kill_marked(token)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), sys.argv[2])
