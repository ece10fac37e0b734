"""Folders of this machine: a file is written beside its place, synced, and renamed into it."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from serving.storage.base import Folder, as_storage_error, shown


@dataclass(frozen=True)
class LocalFolder(Folder):
    """A folder on this machine's file system."""

    path: Path

    @property
    def place(self) -> str:
        """Return the path."""
        return str(self.path)

    @property
    def local(self) -> bool:
        """Return True."""
        return True

    def child(self, name: str) -> Folder:
        """Return the folder of that name inside this one."""
        return LocalFolder(self.path / name)

    def place_of(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.path / name)

    def absolute(self) -> Folder:
        """Return the folder by its absolute path."""
        return LocalFolder(self.path.absolute())

    def make(self) -> None:
        """Make the folder and check that it can be written to."""
        with as_storage_error(f"The folder {self} is not writable"):
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass

    def write(self, name: str, data: bytes) -> None:
        """Replace a file atomically and durably."""
        with as_storage_error(f"{self.place_of(name)} cannot be written"):
            self.path.mkdir(parents=True, exist_ok=True)
            path = self.path / name
            # The temporary file lies in the same folder, since a rename is atomic only within one
            # file system.
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    # Before the rename: otherwise a crash could leave an empty file of that name.
                    os.fsync(file.fileno())
                # mkstemp creates a file that only its owner may read.
                os.chmod(temporary, 0o644)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
            _sync_names(path.parent)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        with as_storage_error(f"{self.place_of(name)} cannot be read"):
            return (self.path / name).read_bytes()

    def names(self, ending: str = "") -> list[str]:
        """Return the names of the files with that ending."""
        with as_storage_error(f"The folder {self} cannot be read"):
            entries = self.path.iterdir() if self.path.exists() else ()
            return shown([entry.name for entry in entries if entry.is_file()], ending)

    def folders(self) -> list[str]:
        """Return the names of the folders."""
        with as_storage_error(f"The folder {self} cannot be read"):
            entries = self.path.iterdir() if self.path.exists() else ()
            return shown([entry.name for entry in entries if entry.is_dir()], "")

    def exists(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        with as_storage_error(f"{self.place_of(name)} cannot be read"):
            return (self.path / name).is_file()

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""
        with as_storage_error(f"{self.place_of(name)} cannot be removed"):
            (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def _sync_names(folder: Path) -> None:
    """Make a new file's name durable, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)
