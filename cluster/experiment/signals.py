"""SIGTERM, which `promptray stop`, a container's end and a shutting machine send: taken like
Ctrl-C, with another exit code.
"""

import signal
from types import FrameType

INTERRUPTED = 130
TERMINATED = 143
_received: list[int] = []


def take_sigterm() -> None:
    """From now on SIGTERM arrives as KeyboardInterrupt; to be called in the main thread."""
    signal.signal(signal.SIGTERM, _interrupt)


def exit_code() -> int:
    """What a command that was stopped is to end with."""
    return TERMINATED if _received else INTERRUPTED


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
