"""Stores uploaded data sets, each for its owner, after they were read as a job would read them.

Knows no HTTP.

    STORAGE/files/ID/file.json      a StoredFile
    STORAGE/files/ID/data.EXT       the bytes as they were uploaded
    STORAGE/files/ID.OWNER.listed   that it exists, written last, deleted first; OWNER is a digest
"""

import hashlib
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from pydantic import ValidationError

from cluster.service.core.backend import Principal
from cluster.service.core.errors import Damaged, NoRoom, NotFound
from cluster.service.core.pagination import paginate
from cluster.service.core.settings import WorkSettings
from cluster.service.schemas import FileDeleted, Page, StoredFile
from cluster.service.stores.file_inspection import FileSummary, local_copy
from optimizer.errors import DataError, StorageError
from optimizer.tasks.files import READERS
from serving.storage import Folder
from serving.storage.text import storable

LONGEST_NAME = 120
_ID = re.compile(r"file-[0-9a-f]{22}")
_UNSAFE = re.compile(r"[^\w .()+-]")
_LISTED = ".listed"
_PART_BYTES = 2**20


@dataclass(frozen=True)
class Incoming:
    """An upload on this machine's disk that was not inspected yet."""

    name: str
    path: str
    bytes: int
    digest: str

    def discard(self) -> None:
        """Delete the upload from the disk."""
        shutil.rmtree(Path(self.path).parent, ignore_errors=True)


class FileStore:
    """The files of one service."""

    def __init__(
        self,
        storage: Folder,
        work: WorkSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Store files in a folder of `storage`.

        Args:
            storage: The service's folder.
            work: How many files, and how many bytes, an owner may store; an admin's own files count
                too.
            clock: Returns Unix seconds.
        """
        self._folder = storage / "files"
        self._work = work or WorkSettings()
        self._clock = clock
        self._bytes_by_file: dict[str, int] = {}
        self._lock_by_owner: dict[str, threading.Lock] = {}

    def receive(self, principal: Principal, filename: str, content: BinaryIO) -> Incoming:
        """Copy an upload to this machine's disk, for inspection; the caller discards it.

        Args:
            principal: Who uploads.
            filename: The name that the client gave it.
            content: The bytes.

        Raises:
            DataError: The name is not that of a data set.
            NoRoom: The owner stores as much as is allowed.
        """
        name = safe_name(filename)
        if PurePath(name).suffix.lower() not in READERS:
            raise DataError(
                f"{name} is not a data set that can be read; its name must end in "
                f"{', '.join(READERS)}."
            )
        self._check_room(principal.owner, 0)
        path, digest = (
            Path(tempfile.mkdtemp(prefix="promptray-")) / f"data{PurePath(name).suffix.lower()}",
            hashlib.sha256(),
        )
        try:
            with path.open("wb") as file:
                while part := content.read(_PART_BYTES):
                    file.write(part)
                    digest.update(part)
            return Incoming(name, str(path), path.stat().st_size, digest.hexdigest())
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise

    def save(self, principal: Principal, incoming: Incoming, summary: FileSummary) -> StoredFile:
        """Store a data set that was inspected.

        Args:
            principal: The owner.
            incoming: The upload.
            summary: What the inspection found.

        Raises:
            NoRoom: The owner stores as much as is allowed.
            StorageError: The storage does not answer.
        """
        now = self._clock()
        id = f"file-{int(now * 1000):012x}{secrets.token_hex(5)}"
        stored = StoredFile(
            id=id,
            filename=incoming.name,
            bytes=incoming.bytes,
            created_at=int(now),
            owner=principal.owner,
            rows=summary.rows,
            scorer=summary.scorer,
            data_hash=incoming.digest,
            preview=summary.preview,
            columns=list(summary.columns),
            guess=summary.guess,
        )
        data = Path(incoming.path).read_bytes()
        # Locked, so that two uploads at once do not both take the last room.
        with self._lock_by_owner.setdefault(principal.owner, threading.Lock()):
            self._check_room(principal.owner, incoming.bytes)
            self._folder.child(id).write(f"data{PurePath(incoming.name).suffix.lower()}", data)
            self._folder.child(id).write("file.json", stored.model_dump_json().encode())
            self._folder.write(_listing(id, principal.owner), b"")
        self._bytes_by_file[id] = incoming.bytes
        return stored

    def ping(self) -> None:
        """Check that the storage answers.

        Raises:
            StorageError: It does not.
        """
        self._folder.exists("any")

    def _check_room(self, owner: str, coming_bytes: int) -> None:
        ids = [name.partition(".")[0] for name in self._folder.names(_listing("", owner))]
        if len(ids) >= self._work.files_per_owner:
            raise NoRoom(
                f"You have {len(ids)} of {self._work.files_per_owner} files: delete one first."
            )
        stored_bytes = sum(map(self._bytes_of, ids))
        if stored_bytes + coming_bytes > self._work.file_bytes_per_owner:
            raise NoRoom(
                f"Your files have {stored_bytes:,} bytes, and may have "
                f"{self._work.file_bytes_per_owner:,}: delete one first, or upload "
                "less."
            )

    def _bytes_of(self, id: str) -> int:
        """Return the size of a file, which never changes; 0 if its record is gone or damaged."""
        if id not in self._bytes_by_file:
            try:
                self._bytes_by_file[id] = StoredFile.model_validate_json(
                    self._folder.child(id).read("file.json")
                ).bytes
            except (ValidationError, StorageError):
                return 0
        return self._bytes_by_file[id]

    def get(self, principal: Principal, id: str) -> StoredFile:
        """Return the record of a file.

        Raises:
            NotFound: There is no such file, or it is somebody else's.
            Damaged: Its record cannot be read.
        """
        if not _ID.fullmatch(id) or not self._folder.child(id).exists("file.json"):
            raise _unknown(id)
        try:
            stored = StoredFile.model_validate_json(self._folder.child(id).read("file.json"))
        except ValidationError as problem:
            raise Damaged(f"The file {id} is damaged; delete it, and upload it again.") from problem
        if not principal.may_see(stored.owner):
            raise _unknown(id)
        return stored

    def place(self, principal: Principal, id: str) -> tuple[str, str]:
        """Return a file's name, and the path of its data on this machine.

        Raises:
            NotFound: There is no such file, or it is somebody else's.
            Damaged: Its record cannot be read.
        """
        return self.get(principal, id).filename, local_copy(self._folder.child(id), id)

    def page(self, principal: Principal, after: str | None, limit: int) -> Page[StoredFile]:
        """Return one page of the files that the principal may see, the newest first.

        Args:
            principal: Who asks.
            after: The id of the file before the page; None: from the newest on.
            limit: The most files on the page.

        Raises:
            NotFound: `after` is not among them.
        """
        names = [
            name
            for name in self._folder.names(_LISTED)
            if principal.admin or name.endswith(_listing("", principal.owner))
        ]
        ids = [name.partition(".")[0] for name in reversed(names)]
        listed = paginate(
            ((id, id) for id in ids),
            after,
            limit,
            _unknown,
            lambda _, id: self._listed(principal, id),
        )
        part = [file for file in listed.data if file]
        return Page[StoredFile](
            data=part,
            first_id=part[0].id if part else None,
            last_id=part[-1].id if part else None,
            has_more=listed.has_more,
        )

    def _listed(self, principal: Principal, id: str) -> StoredFile | None:
        """Return a file for a list; None if it was just deleted.

        A file whose record is damaged comes with the error.
        """
        try:
            return self.get(principal, id)
        except (Damaged, StorageError, NotFound):
            listed = self._folder.names(_LISTED)  # raises where the whole storage is away
            if not any(name.startswith(f"{id}.") for name in listed):
                return None
            reason = "Its record is damaged or gone; delete it, and upload it again."
            owner = principal.owner if _listing(id, principal.owner) in listed else ""
            return StoredFile(
                id=id,
                filename=id,
                bytes=0,
                # An id begins with the time when it was made, in milliseconds.
                created_at=int(id.removeprefix("file-")[:12], 16) // 1000
                if _ID.fullmatch(id)
                else 0,
                owner=owner,
                rows=0,
                scorer="",
                data_hash="",
                preview=[],
                error=reason,
            )

    def delete(self, principal: Principal, id: str) -> FileDeleted:
        """Delete a file.

        A job that was started with it keeps its results; it cannot be resumed any more, and its
        items cannot be shown.

        Raises:
            NotFound: There is no such file, or it is somebody else's.
        """
        try:
            listing = _listing(id, self.get(principal, id).owner)
        except (
            Damaged,
            StorageError,
            NotFound,
        ):  # damaged, or half deleted: its listing has the owner
            listing = next(
                (
                    name
                    for name in self._folder.names(_LISTED)
                    if _ID.fullmatch(id)
                    and name.startswith(f"{id}.")
                    and (principal.admin or name == _listing(id, principal.owner))
                ),
                "",
            )
            if not listing:
                raise
        self._folder.delete(listing)
        self._bytes_by_file.pop(id, None)
        folder = self._folder.child(id)
        folder.delete("file.json")
        folder.remove()
        return FileDeleted(id=id)


def safe_name(filename: str) -> str:
    """Return the last part of a name, of letters, digits and a few signs, with its ending."""
    last = re.split(r"[\\/]", storable(filename))[-1]
    name = _UNSAFE.sub("_", last).strip(" .") or "data"
    ending = PurePath(name).suffix[:12]
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - len(ending)] + ending


def _listing(id: str, owner: str) -> str:
    return (
        f"{id}.{hashlib.sha256(owner.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}{_LISTED}"
    )


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no file {id[:100]!r}.")
