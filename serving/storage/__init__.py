"""Folders on any file system: a path of this machine, or a URI that pyarrow.fs knows.

Known schemes are s3://, gs://, abfs://, hdfs:// and file://. A file is bytes that are read and
written whole, so that an object store is as good as a disk. Keys come from the environment, as the
store's own tools read them; an address that holds one is refused. Knows nothing of what the files
mean.
"""

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from optimizer.errors import StorageError
from optimizer.paths import expanded
from serving.storage.base import Folder
from serving.storage.local import LocalFolder
from serving.storage.object_store import SharedFolder

__all__ = ["Folder", "open_folder", "split_place"]

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SECRET = re.compile(r"key|secret|token|passw|credential|signature|sas", re.IGNORECASE)


def open_folder(place: str | Path | Folder) -> Folder:
    """Return the folder that a path or URI names, without touching it.

    Raises:
        StorageError: If the scheme is unknown, or the address holds a key.
    """
    if isinstance(place, Folder):
        return place
    if isinstance(place, Path) or not _URI.match(place):
        return LocalFolder(expanded(place))
    _refuse_secrets(place)
    # pyarrow.fs would not sync the file; this folder does.
    if place.startswith("file://"):
        return LocalFolder(Path(unquote(urlsplit(place).path)))
    return SharedFolder(place)


def split_place(place: str | Path) -> tuple[Folder, str]:
    """Return a file's folder and its name.

    Raises:
        StorageError: As `open_folder`.
    """
    text = str(place)
    if isinstance(place, Path) or not _URI.match(text):
        return LocalFolder(expanded(text).parent), Path(text).name
    parts = urlsplit(text)
    above, _, name = parts.path.rpartition("/")
    return open_folder(parts._replace(path=above).geturl()), name


def _refuse_secrets(uri: str) -> None:
    parts = urlsplit(uri)
    if (
        parts.password
        or (parts.username and parts.scheme == "s3")
        or any(_SECRET.search(key) for key, _ in parse_qsl(parts.query))
    ):
        # Shown without user, password and query: any of them may be the key.
        raise StorageError(
            f"The address {parts.scheme}://{parts.hostname}{parts.path} holds a key; take it out "
            "and set it in the environment, "
            "as the store's own tools read it (such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY)."
        )
