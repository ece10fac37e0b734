"""Uploaded data sets: read by the optimizer's own loaders before they are kept, in a process that
can be killed, and each its owner's. Knows no HTTP.

    STORAGE/files/ID/file.json      a StoredFile
    STORAGE/files/ID/data.EXT       the bytes as they came
    STORAGE/files/ID.OWNER.listed   that it is there, written last and taken away first; OWNER is a
                                    digest
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
from cluster.service.schemas import FileDeleted, Page, Row, StoredFile
from optimizer.errors import DataError, StorageError, shortened
from optimizer.tasks.bounds import ReadLimits
from optimizer.tasks.files import READERS, read_source
from optimizer.tasks.loading import default_scorer
from optimizer.tasks.splitting import distinct
from optimizer.types import Example
from serving.storage import Folder
from serving.storage.local import LocalFolder
from serving.storage.text import storable

PREVIEW_ROWS = 5
PREVIEW_CHARACTERS = 10_000
"""Of each text: a preview stands in every list of files."""
PAGE_CHARACTERS = 4 * 2**20
"""Of the rows in one answer; a row that is longer comes alone."""
LONGEST_NAME = 120
_ID = re.compile(r"file-[0-9a-f]{22}")
_UNSAFE = re.compile(r"[^\w .()+-]")
_LISTED = ".listed"
_PART_BYTES = 2**20


@dataclass(frozen=True)
class Look:
    """What a data set is, as a process that can be killed has found it."""

    rows: int
    scorer: str
    preview: list[Row]


@dataclass(frozen=True)
class Incoming:
    """An upload on this machine's disk, looked into by nobody yet."""

    name: str
    path: str
    bytes: int
    digest: str

    def discard(self) -> None:
        shutil.rmtree(Path(self.path).parent, ignore_errors=True)


class FileStore:
    """The files of one service.

    `work` says how many, and how much, an owner may keep; an admin's own files count like others.
    """

    def __init__(
        self,
        storage: Folder,
        work: WorkSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = storage / "files"
        self._work = work or WorkSettings()
        self._clock = clock
        self._bytes_by_file: dict[str, int] = {}
        self._lock_by_owner: dict[str, threading.Lock] = {}

    def receive(self, principal: Principal, filename: str, content: BinaryIO) -> Incoming:
        """Puts an upload on this machine's disk, to be looked into; whoever takes it discards it.

        Raises DataError for a name of no
        data set, NoRoom.
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

    def keep(self, principal: Principal, incoming: Incoming, look: Look) -> StoredFile:
        """Keeps a data set that was looked into. Raises StorageError, NoRoom."""
        now = self._clock()
        id = f"file-{int(now * 1000):012x}{secrets.token_hex(5)}"
        stored = StoredFile(
            id=id,
            filename=incoming.name,
            bytes=incoming.bytes,
            created_at=int(now),
            owner=principal.owner,
            rows=look.rows,
            scorer=look.scorer,
            data_hash=incoming.digest,
            preview=look.preview,
        )
        data = Path(incoming.path).read_bytes()
        with self._lock_by_owner.setdefault(
            principal.owner, threading.Lock()
        ):  # two uploads at once do not share the last room
            self._check_room(principal.owner, incoming.bytes)
            self._folder.child(id).write(f"data{PurePath(incoming.name).suffix.lower()}", data)
            self._folder.child(id).write("file.json", stored.model_dump_json().encode())
            self._folder.write(_listing(id, principal.owner), b"")
        self._bytes_by_file[id] = incoming.bytes
        return stored

    def ping(self) -> None:
        """Raises StorageError where the storage does not answer."""
        self._folder.exists("any")

    def _check_room(self, owner: str, coming_bytes: int) -> None:
        ids = [name.partition(".")[0] for name in self._folder.names(_listing("", owner))]
        if len(ids) >= self._work.files_per_owner:
            raise NoRoom(
                f"You keep {len(ids)} files, and may keep {self._work.files_per_owner}: delete one "
                "first."
            )
        kept = sum(map(self._bytes_of, ids))
        if kept + coming_bytes > self._work.file_bytes_per_owner:
            raise NoRoom(
                f"Your files have {kept:,} bytes, and may have "
                f"{self._work.file_bytes_per_owner:,}: delete one first, or upload "
                "less."
            )

    def _bytes_of(self, id: str) -> int:
        """Of a file that never changes; 0 where its record is gone or damaged."""
        if id not in self._bytes_by_file:
            try:
                self._bytes_by_file[id] = StoredFile.model_validate_json(
                    self._folder.child(id).read("file.json")
                ).bytes
            except (ValidationError, StorageError):
                return 0
        return self._bytes_by_file[id]

    def get(self, principal: Principal, id: str) -> StoredFile:
        """Raises NotFound, also for somebody else's."""
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
        """Its name, and the path of its data on this machine. Raises NotFound."""
        return self.get(principal, id).filename, local_copy(self._folder.child(id), id)

    def page(self, principal: Principal, after: str | None, limit: int) -> Page[StoredFile]:
        """The newest first. Raises NotFound where `after` is not among them."""
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
        """A file whose record is damaged is listed with the reason, and the others as they are;
        None where it was just deleted.
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
                created_at=_made_at(id),
                owner=owner,
                rows=0,
                scorer="",
                data_hash="",
                preview=[],
                error=reason,
            )

    def delete(self, principal: Principal, id: str) -> FileDeleted:
        """A job that was started with it keeps its results; it cannot be resumed any more, and its
        items cannot be shown. Raises
        NotFound.
        """
        try:
            listing = _listing(id, self.get(principal, id).owner)
        except (
            Damaged,
            StorageError,
            NotFound,
        ):  # damaged, or half deleted: its listing says whose it is
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
    """The last part of the name, of letters, digits and a few signs, with its ending."""
    last = re.split(r"[\\/]", storable(filename))[-1]
    name = _UNSAFE.sub("_", last).strip(" .") or "data"
    ending = PurePath(name).suffix[:12]
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - len(ending)] + ending


def row_of(example: Example, most: int | None = None) -> Row:
    """As it is shown; with `most`, each text cut to so many characters."""

    def cut(text: str) -> str:
        return storable(text if most is None or len(text) <= most else f"{text[:most]}…")

    return Row(
        id=cut(example.id),
        input=cut(example.input),
        answers=[cut(answer) for answer in example.answers[:most]],
        choices=[cut(choice) for choice in example.choices[:most]],
    )


def look_into(path: str, name: str, limits: ReadLimits) -> Look:
    """What a file is that a stranger has sent: for a process that can be killed.

    Raises DataError with the first faulty rows.
    """
    examples = _examples(path, name, limits)
    preview = [row_of(example, PREVIEW_CHARACTERS) for example in examples[:PREVIEW_ROWS]]
    return Look(len(examples), default_scorer(distinct(examples)), preview)


def rows_of(
    path: str, name: str, limits: ReadLimits, after: int, limit: int
) -> tuple[list[Row], bool]:
    """Rows behind the first `after`, as many as make an answer of bounded size, and whether more
    follow: for a process that can be
    killed. Raises DataError.
    """
    examples, rows, characters = _examples(path, name, limits), list[Row](), 0
    for example in examples[after : after + limit]:
        characters += sum(map(len, (example.input, *example.answers, *example.choices)))
        if rows and characters > PAGE_CHARACTERS:
            break
        rows.append(row_of(example))
    return rows, after + len(rows) < len(examples)


def local_copy(folder: Folder, id: str) -> str:
    """The path of an uploaded file's data on this machine: where the storage is elsewhere, a copy
    that is made once. Raises
    NotFound.
    """
    names = [
        name
        for name in folder.names()
        if name.startswith("data.") and name.endswith(tuple(READERS))
    ]
    if not names:
        raise NotFound(f"There is no file {id!r}; upload it first.")
    if isinstance(folder, LocalFolder):
        return str(folder.path / names[0])
    copies = LocalFolder(
        Path(tempfile.gettempdir())
        / "promptray-files"
        / hashlib.sha256(folder.place.encode()).hexdigest()[:16]
    )
    if not copies.exists(names[0]):
        copies.write(names[0], folder.read(names[0]))
    return str(copies.path / names[0])


def _examples(path: str, name: str, limits: ReadLimits) -> tuple[Example, ...]:
    """Read under the file's own name, by which the loaders choose their way. Raises DataError."""
    with tempfile.TemporaryDirectory(prefix="promptray-") as folder:
        link = Path(folder) / name
        link.symlink_to(Path(path).absolute())
        try:
            return read_source(link, limits).examples
        except DataError as problem:
            raise DataError(shortened(str(problem).replace(str(link), name), 1500)) from None


def _listing(id: str, owner: str) -> str:
    return (
        f"{id}.{hashlib.sha256(owner.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}{_LISTED}"
    )


def _made_at(id: str) -> int:
    """Unix seconds, of which an id is made."""
    return int(id.removeprefix("file-")[:12], 16) // 1000 if _ID.fullmatch(id) else 0


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no file {id[:100]!r}.")
