"""The common part of a lock (writer_lock.py) and a lease (lease.py).

One writer holds a folder, and others learn which one.
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
    """A folder that this process may write to; released by `release`, or with the object."""

    def check(self) -> None:
        """Check that the folder is still this process's.

        Raises:
            StorageError: If it is another's by now.
        """

    def release(self) -> None:
        """Release the folder; a second call is no error."""


def holder(since: datetime | None = None) -> dict[str, Any]:
    """Return what a lock or lease records of this process."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": f"{since or datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
    }


def refusal(folder: Folder | Path, record: bytes) -> StorageError:
    """Return the error for a folder that another process holds.

    `record`: the holder's record in the file.
    """
    try:
        known = json.loads(record)
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
    """Return whether it became true within so many seconds; it is checked at least once."""
    ends_at = clock() + wait_s
    while not true():
        if clock() >= ends_at:
            return False
        sleep(poll_s)
    return True
