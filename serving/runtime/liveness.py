"""The check whether a process still lives.

A process is known by its number and the moment at which it started, so that another process that
got the same number is not mistaken for it. Knows no Ray.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_STATE, _STARTED = 0, 19
"""Fields of /proc/PID/stat, counted behind the name (proc(5): 3 and 22)."""


@dataclass(frozen=True)
class Process:
    """A process of one machine."""

    pid: int
    started: str
    """Start time as the machine's kernel counts; "" where it is not available."""


def this_process() -> Process:
    """Return this process."""
    return Process(os.getpid(), _fields(os.getpid())[1])


def lives(process: Process) -> bool:
    """Return whether a process of this machine lives.

    One that has ended and was not yet waited for (a zombie) does not.
    """
    if not process.started:
        return _answers(process.pid)
    state, started = _fields(process.pid)
    # The start time guards against another process with the same number.
    return started == process.started and state not in ("Z", "X")


def _fields(pid: int) -> tuple[str, str]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[_STATE], fields[_STARTED]
    except (OSError, IndexError):
        return "", ""


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It lives, as a process of another user.
        return True
    return True
