"""Treat SIGTERM like Ctrl-C, with another exit code.

`promptray stop`, a container's end and a machine that shuts down send it.
"""

import signal
from types import FrameType

INTERRUPTED = 130
TERMINATED = 143
_received: list[int] = []


def take_sigterm() -> None:
    """Let SIGTERM arrive as KeyboardInterrupt; to be called in the main thread."""
    signal.signal(signal.SIGTERM, _interrupt)


def exit_code() -> int:
    """Return the exit code of a command that was stopped."""
    return TERMINATED if _received else INTERRUPTED


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
