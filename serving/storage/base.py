"""The interface of a folder on any file system, and the handling of its errors.

Knows no file system.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from optimizer.errors import StorageError

_AWS = re.compile(r"AWS Error (\w+) during")


class Folder(ABC):
    """A folder that need not exist yet.

    Small and picklable. Every method raises StorageError where the storage does not permit it.
    """

    @property
    @abstractmethod
    def place(self) -> str:
        """Return the folder's address for people; `open_folder(place)` gives an equal folder."""

    @property
    @abstractmethod
    def local(self) -> bool:
        """Return whether it lies on this machine, where other nodes may not see it."""

    @abstractmethod
    def child(self, name: str) -> "Folder":
        """Return the folder of that name inside this one."""

    @abstractmethod
    def place_of(self, name: str) -> str:
        """Return the address of a file in this folder."""

    @abstractmethod
    def absolute(self) -> "Folder":
        """Return the same folder, independent of the working directory."""

    @abstractmethod
    def make(self) -> None:
        """Make the folder and check that it can be written to."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a whole file durably, and make the folder where needed.

        A reader finds the old bytes or the new, never half.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""

    @abstractmethod
    def names(self, ending: str = "") -> list[str]:
        """Return the names of the files with that ending, sorted, without hidden ones.

        The list is empty where there is no such folder.
        """

    @abstractmethod
    def folders(self) -> list[str]:
        """Return the names of the folders in it, sorted, without hidden ones.

        The list is empty where there is no such folder.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Return whether there is a file of that name."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file; one that does not exist is no error."""

    @abstractmethod
    def remove(self) -> None:
        """Delete the folder with all that is in it, as far as that is possible."""

    def __truediv__(self, name: str) -> "Folder":
        return self.child(name)

    def __str__(self) -> str:
        return self.place


@contextmanager
def as_storage_error(failure: str) -> Iterator[None]:
    """Turn every error of a file system into a StorageError with one sentence."""
    try:
        yield
    except (OSError, ValueError, NotImplementedError) as problem:
        # Arrow's own errors are kinds of these.
        raise StorageError(f"{failure} ({_reason(problem)}).") from problem


def _reason(problem: Exception) -> str:
    if isinstance(problem, FileNotFoundError):
        return "no such file or folder"
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    if found := _AWS.search(lines[0]):
        return found[1].lower().replace("_", " ")
    if lines[0].startswith("Unrecognized filesystem"):
        return "its scheme is unknown; known are s3, gs, abfs, hdfs and file"
    return getattr(problem, "strerror", None) or lines[0].rstrip(".")


def shown(names: list[str], ending: str) -> list[str]:
    """Return the names to list, sorted, without those of hidden files."""
    return sorted(name for name in names if name.endswith(ending) and not name.startswith("."))
