"""What a folder is, wherever it lies, and how the faults of any file system are told.

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

    Small and picklable. Every method raises StorageError where the place does not let it.
    """

    @property
    @abstractmethod
    def place(self) -> str:
        """As people see it; `open_folder(place)` gives an equal folder."""

    @property
    @abstractmethod
    def local(self) -> bool:
        """Does it lie on this machine's file system? Then other nodes need not see it."""

    @abstractmethod
    def child(self, name: str) -> "Folder":
        """The folder of that name inside this one."""

    @abstractmethod
    def place_of(self, name: str) -> str:
        """The place of a file in this folder."""

    @abstractmethod
    def absolute(self) -> "Folder":
        """The same folder, whatever the working directory becomes."""

    @abstractmethod
    def make(self) -> None:
        """Makes the folder and sees that it can be written to."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Puts a whole file there, durably, making the folder where needed.

        A reader finds the old bytes or the new, never half.
        """

    @abstractmethod
    def read(self, name: str) -> bytes: ...

    @abstractmethod
    def names(self, ending: str = "") -> list[str]:
        """The files in it with that ending, sorted; hidden ones are not shown.

        [] where there is no such folder.
        """

    @abstractmethod
    def folders(self) -> list[str]:
        """The folders in it, sorted; hidden ones are not shown.

        [] where there is no such folder.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Is there a file of that name?"""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Takes a file away; one that is not there is no fault."""

    @abstractmethod
    def remove(self) -> None:
        """Takes the folder away with all that is in it, as far as that can be done."""

    def __truediv__(self, name: str) -> "Folder":
        return self.child(name)

    def __str__(self) -> str:
        return self.place


@contextmanager
def told(failure: str) -> Iterator[None]:
    """Every fault of a file system as one sentence."""
    try:
        yield
    except (
        OSError,
        ValueError,
        NotImplementedError,
    ) as problem:  # Arrow's own errors are kinds of these
        raise StorageError(f"{failure} ({_reason(problem)}).") from problem


def _reason(problem: Exception) -> str:
    if isinstance(problem, FileNotFoundError):
        return "no such file or folder"
    said = str(problem).strip().splitlines() or [type(problem).__name__]
    if found := _AWS.search(said[0]):
        return found[1].lower().replace("_", " ")
    if said[0].startswith("Unrecognized filesystem"):
        return "its scheme is unknown; known are s3, gs, abfs, hdfs and file"
    return getattr(problem, "strerror", None) or said[0].rstrip(".")


def shown(names: list[str], ending: str) -> list[str]:
    """The names to list, sorted: not those of hidden files."""
    return sorted(name for name in names if name.endswith(ending) and not name.startswith("."))
