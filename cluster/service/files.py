"""Uploaded data sets: read by the optimizer's own loaders before they are kept, and each its owner's. Knows no HTTP.

    STORAGE/files/ID/file.json      a StoredFile
    STORAGE/files/ID/data.EXT       the bytes as they came
    STORAGE/files/ID.OWNER.listed   that it is there, written last and taken away first; OWNER is a digest
"""

import hashlib
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import BinaryIO

from pydantic import ValidationError

from cluster.service.errors import Damaged, NotFound
from cluster.service.objects import FileDeleted, Page, Row, StoredFile
from cluster.service.office import Caller
from cluster.service.views.wording import plain
from optimizer.errors import DataError, StorageError, shortened
from optimizer.tasks.files import READERS, read_source
from optimizer.tasks.loading import default_scorer
from optimizer.tasks.splitting import distinct
from optimizer.types import Example
from serving.storage import Folder

PREVIEW_ROWS = 5
LONGEST_NAME = 120
_ID = re.compile(r"file-[0-9a-f]{22}")
_UNSAFE = re.compile(r"[^\w .()+-]")
_LISTED = ".listed"


class FileStore:
    """The files of one service."""

    def __init__(self, storage: Folder, clock: Callable[[], float] = time.time) -> None:
        self._folder = storage / "files"
        self._clock = clock

    def add(self, caller: Caller, filename: str, content: BinaryIO) -> StoredFile:
        """Checks a data set and keeps it. Raises DataError that names the first faulty rows, StorageError."""
        name = safe_name(filename)
        ending = PurePath(name).suffix.lower()
        if ending not in READERS:
            raise DataError(f"{name} is not a data set that can be read; its name must end in {', '.join(READERS)}.")
        data = content.read()
        examples = _checked(name, data)
        now = self._clock()
        id = f"file-{int(now * 1000):012x}{secrets.token_hex(5)}"
        stored = StoredFile(
            id=id, filename=name, bytes=len(data), created_at=int(now), owner=caller.owner, rows=len(examples),
            scorer=default_scorer(distinct(examples)), data_hash=hashlib.sha256(data).hexdigest(),
            preview=[row_of(example) for example in examples[:PREVIEW_ROWS]])
        self._folder.child(id).write(f"data{ending}", data)
        self._folder.child(id).write("file.json", stored.model_dump_json().encode())
        self._folder.write(_listing(id, caller.owner), b"")
        return stored

    def get(self, caller: Caller, id: str) -> StoredFile:
        """Raises NotFound, also for somebody else's."""
        if not _ID.fullmatch(id) or not self._folder.child(id).exists("file.json"):
            raise _unknown(id)
        try:
            stored = StoredFile.model_validate_json(self._folder.child(id).read("file.json"))
        except ValidationError as problem:
            raise Damaged(f"The file {id} is damaged; delete it, and upload it again.") from problem
        if not caller.may_see(stored.owner):
            raise _unknown(id)
        return stored

    def content(self, caller: Caller, id: str) -> tuple[StoredFile, bytes]:
        """Raises NotFound."""
        stored = self.get(caller, id)
        return stored, self._folder.child(id).read(f"data{PurePath(stored.filename).suffix.lower()}")

    def rows(self, caller: Caller, id: str, after: int, limit: int) -> tuple[list[Row], bool]:
        """Rows behind the first `after`, and whether more follow. Raises NotFound."""
        stored, data = self.content(caller, id)
        examples = _checked(stored.filename, data)
        return [row_of(example) for example in examples[after : after + limit]], after + limit < len(examples)

    def page(self, caller: Caller, after: str | None, limit: int) -> Page[StoredFile]:
        """The newest first. Raises NotFound where `after` is not among them."""
        names = [name for name in self._folder.names(_LISTED) if caller.admin or name.endswith(_listing("", caller.owner))]
        ids = [name.partition(".")[0] for name in reversed(names)]
        if after is not None and after not in ids:
            raise _unknown(after)
        start = ids.index(after) + 1 if after is not None else 0
        found = (self._listed(caller, id) for id in ids[start : start + limit])
        part = [file for file in found if file]
        return Page[StoredFile](
            data=part, first_id=part[0].id if part else None, last_id=part[-1].id if part else None,
            has_more=start + limit < len(ids))

    def _listed(self, caller: Caller, id: str) -> StoredFile | None:
        """A file whose record is damaged is listed with the reason, and the others as they are; None where it was just deleted."""
        try:
            return self.get(caller, id)
        except (Damaged, StorageError, NotFound):
            listed = self._folder.names(_LISTED)  # raises where the whole storage is away
            if not any(name.startswith(f"{id}.") for name in listed):
                return None
            reason = "Its record is damaged or gone; delete it, and upload it again."
            owner = caller.owner if _listing(id, caller.owner) in listed else ""
            return StoredFile(
                id=id, filename=id, bytes=0, created_at=_made_at(id), owner=owner, rows=0, scorer="", data_hash="", preview=[],
                error=reason)

    def delete(self, caller: Caller, id: str) -> FileDeleted:
        """A job that was started with it keeps its results; it cannot be resumed any more, and its items cannot be shown. Raises
        NotFound."""
        try:
            listing = _listing(id, self.get(caller, id).owner)
        except (Damaged, StorageError, NotFound):  # damaged, or half deleted: its listing says whose it is
            listing = next((
                name for name in self._folder.names(_LISTED) if _ID.fullmatch(id) and name.startswith(f"{id}.")
                and (caller.admin or name == _listing(id, caller.owner))), "")
            if not listing:
                raise
        self._folder.delete(listing)
        folder = self._folder.child(id)
        folder.delete("file.json")
        folder.remove()
        return FileDeleted(id=id)


def safe_name(filename: str) -> str:
    """The last part of the name, of letters, digits and a few signs, with its ending."""
    last = re.split(r"[\\/]", plain(filename))[-1]
    name = _UNSAFE.sub("_", last).strip(" .") or "data"
    ending = PurePath(name).suffix[:12]
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - len(ending)] + ending


def row_of(example: Example) -> Row:
    return Row(
        id=plain(example.id), input=plain(example.input), answers=[plain(answer) for answer in example.answers],
        choices=[plain(choice) for choice in example.choices])


def _checked(name: str, data: bytes) -> tuple[Example, ...]:
    """The examples, read from a file of that very name, by which the loaders choose their way. Raises DataError."""
    with tempfile.TemporaryDirectory(prefix="promptray-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            return read_source(path).examples
        except DataError as problem:
            raise DataError(shortened(str(problem).replace(str(path), name), 1500)) from problem


def _listing(id: str, owner: str) -> str:
    return f"{id}.{hashlib.sha256(owner.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}{_LISTED}"


def _made_at(id: str) -> int:
    """Unix seconds, of which an id is made."""
    return int(id.removeprefix("file-")[:12], 16) // 1000 if _ID.fullmatch(id) else 0


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no file {id[:100]!r}.")
