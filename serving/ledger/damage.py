"""Reports on segments that are not whole, and copies of the bytes of damaged ones.

Knows no Arrow.
"""

from serving.ledger.format import Contents
from serving.storage import Folder

COPY_ENDING = ".damaged"
"""Ends the name of the copy of a damaged segment: it is not read any more, and holds all bytes
that were found.
"""


def sentence(name: str, read: Contents) -> str:
    """Return what is wrong with a segment, and what to do; "" where nothing is."""
    if read.state == "whole":
        return ""
    if read.state == "foreign":
        return f"{name} is no segment of this version; it is ignored."
    if read.state == "torn":
        return (
            f"{name} is torn: {read.rows:,} entries before the tear are read{_lost(read)}; "
            "`promptray ledger compact` rewrites them."
        )
    if not read.lost_batches:
        return (
            f"{name} is damaged, but all its {read.rows:,} entries are read; `promptray ledger "
            "compact` rewrites them."
        )
    return (
        f"{name} is damaged: {read.rows:,} entries are read{_lost(read)}. Restore it from a "
        "copy; without one, a run pays again for what is lost, and `promptray ledger compact` "
        f"stores its bytes as {name}{COPY_ENDING}."
    )


def _lost(read: Contents) -> str:
    if not read.lost_batches:
        return ""
    batches = f"{read.lost_batches:,} batch{'es' * (read.lost_batches > 1)}"
    return (
        f", at least {read.lost_rows:,} in {batches} cannot be"
        if read.lost_rows
        else f", those in {batches} cannot be"
    )


def copy_damaged(folder: Folder, name: str, data: bytes) -> None:
    """Copy the bytes of a damaged segment to another name; the segment itself stays.

    Raises:
        StorageError: If the copy cannot be written.
    """
    folder.write(name + COPY_ENDING, data)


def damaged_copies(folder: Folder) -> list[str]:
    """Return the names of the copies of damaged segments.

    Raises:
        StorageError: If the folder cannot be read.
    """
    return folder.names(COPY_ENDING)
