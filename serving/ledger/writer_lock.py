"""One writer at a time.

On this machine it is a lock of the operating system on a file, which is free as soon as its holder
is dead, however it died; on a store a lease (lease.py). Reading needs neither. Knows nothing of
what the folder holds.
"""

import errno
import fcntl
import json
import os
import weakref
from pathlib import Path

from optimizer.errors import StorageError
from serving.ledger.lease import Lease
from serving.ledger.ownership import Hold, holder, refusal, until
from serving.storage import Folder
from serving.storage.local import LocalFolder

WAIT_S = 20.0
"""Seconds to wait [ours]: a holder that was just killed may live a moment longer, and a lease
goes stale in less than this.
"""
LOCK_FILE = ".lock"
"""Hidden, so that it is no part of the folder's content. It stays: to delete it would let two
writers hold two files of the name.
"""


def hold(folder: Folder, wait_s: float = WAIT_S) -> Hold:
    """Acquire the folder for writing.

    Raises:
        StorageError: If it is not free within `wait_s` seconds; the message names the holder.
    """
    if isinstance(folder, LocalFolder):
        return FileLock(folder.path, wait_s)
    return Lease(folder, wait_s)


class FileLock:
    """A folder reserved by a lock on a file in it.

    On a network's file system it holds between machines where that supports `flock`, as NFS does on
    Linux.
    """

    def __init__(self, path: Path, wait_s: float) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            raise StorageError(
                f"The folder {path} is not writable ({problem.strerror})."
            ) from problem
        try:
            _acquire(descriptor, path, wait_s)
        except BaseException:
            os.close(descriptor)
            raise
        # Closing the file releases the lock, however the object ends.
        self._close = weakref.finalize(self, os.close, descriptor)

    def check(self) -> None:
        """Do nothing: the lock of a living process cannot be lost."""

    def release(self) -> None:
        """Release the folder."""
        self._close()


def _acquire(descriptor: int, path: Path, wait_s: float) -> None:
    if not until(lambda: _locked(descriptor, path), wait_s):
        raise refusal(path, os.pread(descriptor, 4096, 0))
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder()).encode(), 0)
    except OSError as problem:
        # On a full disk the lock holds without a name in it.
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"{path / LOCK_FILE} cannot be written ({problem.strerror})."
            ) from problem


def _locked(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as problem:
        raise StorageError(f"The folder {path} cannot be locked ({problem.strerror}).") from problem
    return True
