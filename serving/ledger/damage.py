"""What is told of a segment that is not whole, and where its bytes are kept when the ledger is
written anew. Knows no Arrow.
"""

from serving.ledger.format import Contents
from serving.storage import Folder

ASIDE = ".damaged"
"""Ends the name of a damaged segment that was set aside: it is read no more, and holds all bytes
that were found.
"""


def sentence(name: str, read: Contents) -> str:
    """Say what is wrong with a segment, and what to do; "" where nothing is."""
    if read.state == "whole":
        return ""
    if read.state == "foreign":
        return f"{name} is no segment of this version; it is passed over."
    if read.state == "torn":
        return (
            f"{name} is torn: {read.rows:,} entries before the tear are read{_lost(read)}; "
            "`promptray ledger compact` writes "
            "them anew."
        )
    if not read.lost_batches:
        return (
            f"{name} is damaged, but all its {read.rows:,} entries are read; `promptray ledger "
            "compact` writes them anew."
        )
    return (
        f"{name} is damaged: {read.rows:,} entries are read{_lost(read)}. Bring it back from a "
        "copy; without one, a run pays "
        f"again for what is lost, and `promptray ledger compact` sets it aside as {name}{ASIDE}."
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


def set_aside(folder: Folder, name: str, data: bytes) -> None:
    """Keep the bytes of a damaged segment under another name.

    The segment itself stays where it is. Raises StorageError.
    """
    folder.write(name + ASIDE, data)


def aside(folder: Folder) -> list[str]:
    """Name the damaged segments that were set aside. Raises StorageError."""
    return folder.names(ASIDE)
