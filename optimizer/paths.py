"""Paths as people write them; `expanded` is the one place where ~ gets its meaning."""

from pathlib import Path

from optimizer.errors import StorageError


def expanded(path: str | Path) -> Path:
    """Return the path with a ~ at its beginning replaced by the home folder.

    Raises:
        StorageError: If there is no such home, as for a user that this machine does not know.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise StorageError(
            f"The path {path} names a home folder that this machine does not have; write the whole "
            "path."
        ) from None


def whole(path: str | Path) -> Path:
    """Return the absolute path, independent of the reader's working directory.

    Raises:
        StorageError: If the path names a home folder that this machine does not have.
    """
    return expanded(path).absolute()
