"""What a lock (writer_lock.py) and a lease (lease.py) have in common: one writer holds a folder,
and others are told who.
"""

import json
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from optimizer.errors import StorageError
from serving.storage import Folder

_POLL_S = 0.1


class Hold(Protocol):
    """A folder that is ours to write to. Given back when it is released, or forgotten."""

    def check(self) -> None:
        """Raises StorageError where the folder is another's by now."""

    def release(self) -> None:
        """Gives the folder back; a second time is no fault."""


def holder(since: datetime | None = None) -> dict[str, Any]:
    """What a lock or lease says of this process."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": f"{since or datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
    }


def refusal(folder: Folder | Path, said: bytes) -> StorageError:
    """`said`: what the holder has left in the file."""
    try:
        known = json.loads(said)
        who = f"process {known['pid']} on {known['host']}, since {known['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return StorageError(
        f"The ledger {folder} is being written to by {who}; wait until it has ended or stop it, or "
        "name another results folder."
    )


def until(
    true: Callable[[], bool],
    wait_s: float,
    poll_s: float = _POLL_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Did it become true within so many seconds? Asked at least once."""
    ends_at = clock() + wait_s
    while not true():
        if clock() >= ends_at:
            return False
        sleep(poll_s)
    return True
