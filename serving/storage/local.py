"""Folders of this machine: a file is written beside its place, synced, and renamed into it."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from serving.storage.base import Folder, shown, told


@dataclass(frozen=True)
class LocalFolder(Folder):
    path: Path

    @property
    def place(self) -> str:
        return str(self.path)

    @property
    def local(self) -> bool:
        return True

    def child(self, name: str) -> Folder:
        return LocalFolder(self.path / name)

    def place_of(self, name: str) -> str:
        return str(self.path / name)

    def absolute(self) -> Folder:
        return LocalFolder(self.path.absolute())

    def make(self) -> None:
        with told(f"The folder {self} is not writable"):
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass

    def write(self, name: str, data: bytes) -> None:
        with told(f"{self.place_of(name)} cannot be written"):
            self.path.mkdir(parents=True, exist_ok=True)
            _replace(self.path / name, data)

    def read(self, name: str) -> bytes:
        with told(f"{self.place_of(name)} cannot be read"):
            return (self.path / name).read_bytes()

    def names(self, ending: str = "") -> list[str]:
        with told(f"The folder {self} cannot be read"):
            entries = self.path.iterdir() if self.path.exists() else ()
            return shown([entry.name for entry in entries if entry.is_file()], ending)

    def folders(self) -> list[str]:
        with told(f"The folder {self} cannot be read"):
            entries = self.path.iterdir() if self.path.exists() else ()
            return shown([entry.name for entry in entries if entry.is_dir()], "")

    def exists(self, name: str) -> bool:
        with told(f"{self.place_of(name)} cannot be read"):
            return (self.path / name).is_file()

    def delete(self, name: str) -> None:
        with told(f"{self.place_of(name)} cannot be removed"):
            (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp gives a file that only its owner may read
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_names(path.parent)


def _sync_names(folder: Path) -> None:
    """Makes a new file's name durable. Not every file system can do this for a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)
