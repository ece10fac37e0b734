"""A folder whose machine stops after so many primitive operations.

Its files are bytes in memory and outlive the crash.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from optimizer.errors import StorageError
from serving.ledger.ownership import Hold
from serving.storage import Folder


class Crash(BaseException):
    """The process ends here.

    No handler of the code under test may take it for a fault of the folder.
    """


@dataclass
class Disk:
    """What survives, and how long the machine lives. One operation is a write or a delete."""

    atomic: bool
    """Does a file appear whole or not at all? Otherwise a crash leaves a beginning of it, in place
    of what was there.
    """
    torn_at: float = 0.5
    """Which share of the file is written when the crash comes; only where writes are not atomic."""
    files: dict[str, bytes] = field(default_factory=dict)
    operations_left: int | None = None
    """None: it does not crash."""
    full: bool = False
    """Writes fail with an error, and leave what a crash leaves."""

    seen: Callable[[], None] = lambda: None
    """Called before every operation: what another process could do at that moment."""

    def step(self) -> bool:
        """Is this the operation at which the machine stops?"""
        self.seen()
        if self.operations_left is None:
            return False
        if self.operations_left < 0:
            raise Crash
        self.operations_left -= 1
        return self.operations_left < 0


@dataclass(frozen=True)
class CrashingFolder(Folder):
    disk: Disk
    path: str = "memory"

    @property
    def place(self) -> str:
        return self.path

    @property
    def local(self) -> bool:
        return False

    def child(self, name: str) -> Folder:
        return CrashingFolder(self.disk, f"{self.path}/{name}")

    def place_of(self, name: str) -> str:
        return f"{self.path}/{name}"

    def absolute(self) -> Folder:
        return self

    def make(self) -> None:
        return None

    def write(self, name: str, data: bytes) -> None:
        crash = self.disk.step()
        if crash or self.disk.full:
            if not self.disk.atomic:
                self.disk.files[self.place_of(name)] = data[: int(len(data) * self.disk.torn_at)]
            if crash:
                raise Crash
            raise StorageError(
                f"{self.place_of(name)} cannot be written (no space left on device)."
            )
        self.disk.files[self.place_of(name)] = data

    def read(self, name: str) -> bytes:
        try:
            return self.disk.files[self.place_of(name)]
        except KeyError:
            raise StorageError(
                f"{self.place_of(name)} cannot be read (no such file or folder)."
            ) from None

    def names(self, ending: str = "") -> list[str]:
        inside = [
            place.removeprefix(f"{self.path}/")
            for place in self.disk.files
            if place.startswith(f"{self.path}/")
        ]
        return sorted(
            name
            for name in inside
            if name.endswith(ending) and not name.startswith(".") and "/" not in name
        )

    def folders(self) -> list[str]:
        inside = [
            place.removeprefix(f"{self.path}/")
            for place in self.disk.files
            if place.startswith(f"{self.path}/")
        ]
        return sorted({name.partition("/")[0] for name in inside if "/" in name})

    def exists(self, name: str) -> bool:
        return self.place_of(name) in self.disk.files

    def delete(self, name: str) -> None:
        if self.disk.step():
            raise Crash
        self.disk.files.pop(self.place_of(name), None)

    def remove(self) -> None:
        for name in self.names():
            self.delete(name)


class NoHold:
    """For a folder that no other process can see."""

    def check(self) -> None:
        return None

    def release(self) -> None:
        return None


def no_hold(folder: Folder, wait_s: float) -> Hold:
    return NoHold()
