"""Work that never ends, or never has enough: functions of a module, so that they can be sent to
another process by name.
"""

import os
import re
import signal
import time
from typing import Any

from optimizer.errors import DataError


def pid() -> int:
    return os.getpid()


def regex(length: int = 60) -> object:
    """Holds the interpreter for longer than anybody lives."""
    return re.fullmatch("(a|aa)+b", "a" * length)


def sleep() -> None:
    time.sleep(3600)


def memory() -> int:
    """Takes little by little, as a list that grows does."""
    held = []
    while True:
        held.append(bytearray(2**20) + b"x")


def refuse(sentence: str) -> None:
    raise DataError(sentence)


def fail() -> None:
    raise LookupError("secret")


def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    os._exit(7)


def large(characters: int) -> str:
    return "x" * characters


def estimate(request: Any, service: Any, caller: Any) -> Any:
    """As the service's own, but for ann, whose request holds the interpreter for ever."""
    from cluster.service.backends.estimates import unmeasured

    return regex() if caller.owner == "ann" else unmeasured(request, service, caller)


def for_ever(*given: Any) -> object:
    return regex()
