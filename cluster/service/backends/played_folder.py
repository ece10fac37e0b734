"""A results folder in memory, as it would look in the middle of a run."""

from dataclasses import dataclass

from optimizer.errors import StorageError
from serving.storage import Folder


@dataclass(frozen=True)
class PlayedFolder(Folder):
    """A results folder in memory that fills as that of a running job does.

    Its ledger is that of the finished folder `source`.
    """

    source: Folder
    files: dict[str, bytes]
    """Path inside the folder -> content; shared by the folder and its subfolders."""
    above: str = ""
    """The path of this folder inside the results folder, with a slash at its end."""

    @property
    def place(self) -> str:
        """Return an address that no other folder has."""
        return f"played:{self.source.place}/{self.above}{id(self.files)}"

    @property
    def local(self) -> bool:
        """Return true: it is read without a network."""
        return True

    def child(self, name: str) -> Folder:
        """Return a subfolder; `ledger` is the finished one."""
        return (
            self.source / name
            if name == "ledger"
            else PlayedFolder(self.source, self.files, f"{self.above}{name}/")
        )

    def place_of(self, name: str) -> str:
        """Return the address of a file."""
        return f"{self.place}/{name}"

    def absolute(self) -> Folder:
        """Return the folder itself."""
        return self

    def make(self) -> None:
        """Do nothing: the folder exists."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        self.files[self.above + name] = data

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            StorageError: There is no such file.
        """
        if not self.exists(name):
            raise StorageError(f"{self.place_of(name)} cannot be read (no such file or folder).")
        return self.files[self.above + name]

    def names(self, ending: str = "") -> list[str]:
        """Return the sorted names of the files whose names end so."""
        inside = [
            path.removeprefix(self.above)
            for path in list(self.files)
            if path.startswith(self.above)
        ]
        return sorted(name for name in inside if "/" not in name and name.endswith(ending))

    def folders(self) -> list[str]:
        """Return the sorted names of the subfolders that have files."""
        inside = {
            path.removeprefix(self.above).partition("/")[0]
            for path in list(self.files)
            if path.startswith(self.above) and "/" in path.removeprefix(self.above)
        }
        return sorted(inside)

    def exists(self, name: str) -> bool:
        """Return whether there is such a file."""
        return self.above + name in self.files

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        self.files.pop(self.above + name, None)

    def remove(self) -> None:
        """Delete all files of the folder and its subfolders."""
        for path in [path for path in self.files if path.startswith(self.above)]:
            del self.files[path]
