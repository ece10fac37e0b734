"""Folders on stores that pyarrow.fs reaches by a URI: a file is one put.

Knows no store by itself.
"""

import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from serving.storage.base import Folder, as_storage_error, shown

_WHOLE_AT_CLOSE = ("s3", "gcs", "abfs")
"""Stores where a file appears when its stream is closed, in place of the old one; elsewhere it
is written beside and moved.
"""


@dataclass(frozen=True)
class SharedFolder(Folder):
    """A folder on a store that all nodes reach by the same URI.

    The connection is made where it is used, once in each process.
    """

    uri: str

    @property
    def place(self) -> str:
        """Return the URI."""
        return self.uri

    @property
    def local(self) -> bool:
        """Return False."""
        return False

    def child(self, name: str) -> Folder:
        """Return the folder of that name inside this one."""
        return SharedFolder(self.place_of(name))

    def place_of(self, name: str) -> str:
        """Return the URI of a file."""
        parts = urlsplit(self.uri)
        return parts._replace(path=f"{parts.path.rstrip('/')}/{name}").geturl()

    def absolute(self) -> Folder:
        """Return this folder."""
        return self

    def make(self) -> None:
        """Check that the folder can be written to."""
        # Stores have no folders, and check permissions only when something is written.
        probe = f".writable-{uuid.uuid4().hex[:8]}"
        with as_storage_error(f"The folder {self} is not writable"):
            self._put(probe, b"writable?")
            self._system.delete_file(self._path_of(probe))

    def write(self, name: str, data: bytes) -> None:
        """Replace a file atomically."""
        with as_storage_error(f"{self.place_of(name)} cannot be written"):
            self._put(name, data)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        with (
            as_storage_error(f"{self.place_of(name)} cannot be read"),
            self._system.open_input_file(self._path_of(name)) as file,
        ):
            data: bytes = file.read()
            return data

    def names(self, ending: str = "") -> list[str]:
        """Return the names of the files with that ending."""
        from pyarrow import fs

        with as_storage_error(f"The folder {self} cannot be read"):
            entries = self._system.get_file_info(
                fs.FileSelector(_connected(self.uri)[1], allow_not_found=True)
            )
            return shown(
                [entry.base_name for entry in entries if entry.type == fs.FileType.File], ending
            )

    def folders(self) -> list[str]:
        """Return the names of the folders."""
        from pyarrow import fs

        with as_storage_error(f"The folder {self} cannot be read"):
            entries = self._system.get_file_info(
                fs.FileSelector(_connected(self.uri)[1], allow_not_found=True)
            )
            return shown(
                [entry.base_name for entry in entries if entry.type == fs.FileType.Directory], ""
            )

    def exists(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        with as_storage_error(f"{self.place_of(name)} cannot be read"):
            return bool(self._system.get_file_info(self._path_of(name)).is_file)

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""
        with (
            as_storage_error(f"{self.place_of(name)} cannot be removed"),
            suppress(FileNotFoundError),
        ):
            self._system.delete_file(self._path_of(name))

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        with suppress(OSError):
            self._system.delete_dir(_connected(self.uri)[1])

    @property
    def _system(self) -> Any:
        return _connected(self.uri)[0]

    def _path_of(self, name: str) -> str:
        return f"{_connected(self.uri)[1]}/{name}"

    def _put(self, name: str, data: bytes) -> None:
        system, place = self._system, self._path_of(name)
        whole = system.type_name in _WHOLE_AT_CLOSE
        written = place if whole else self._path_of(f".{name}.{uuid.uuid4().hex[:8]}")
        if not whole:
            system.create_dir(_connected(self.uri)[1], recursive=True)
        with system.open_output_stream(written) as file:
            file.write(data)
        if whole:
            return
        try:
            system.move(written, place)
        except OSError:
            # hdfs moves nothing onto an old file.
            system.delete_file(place)
            system.move(written, place)


@cache
def _connected(uri: str) -> tuple[Any, str]:
    """Return the file system, and the path of the folder on it."""
    # Slow to load, and not needed for a local folder.
    from pyarrow import fs

    parts = urlsplit(uri)
    if parts.scheme == "s3" and "allow_delayed_open" not in parts.query:
        # A file is one request in place of three.
        uri = parts._replace(
            query="&".join(filter(None, [parts.query, "allow_delayed_open=true"]))
        ).geturl()
    system, path = fs.FileSystem.from_uri(uri)
    return system, path.rstrip("/")
