"""Who did what: one line an act, written once and never changed.

Knows no HTTP, and holds no key and no content.

A store has no appending, so each writer has files of its own, of one day and at most LINES lines,
which it alone writes anew:

    STORAGE/audit/2026-03-01.WRITER.0000.jsonl
"""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter

from pydantic import ValidationError

from cluster.service.core.backend import Principal
from cluster.service.core.errors import NotFound
from cluster.service.core.pagination import paginate
from cluster.service.schemas import AuditEntry, Page
from optimizer.errors import StorageError
from serving.runtime.supervision import Pauses, Supervisor
from serving.storage import Folder
from serving.storage.text import storable

LINES = 200
ENDING = ".jsonl"


@dataclass
class Note:
    """An act under way."""

    subject: str
    outcome: str = "done"


class Audit:
    """The audit of one service; safe to use from several threads.

    A caller is told the truth, whatever becomes of the audit: an act that was done is not answered
    with an error because its line could not be written. The line is kept and written as soon as
    that can be done; until then no further act is begun.
    """

    def __init__(
        self, storage: Folder, clock: Callable[[], float] = time.time, pauses: Pauses | None = None
    ) -> None:
        self._folder = storage / "audit"
        self._clock = clock
        self._writer = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._counted = 0
        self._day, self._file, self._lines = "", 0, list[str]()
        self._unwritten: list[tuple[str, str]] = []
        """Day and line of acts that are on no file yet."""
        self._tasks = Supervisor("the audit", pauses)
        self._catching_up: asyncio.Task[None] | None = None

    def faults(self, least: int = 1) -> list[str]:
        """See Supervisor.faults."""
        return self._tasks.faults(least)

    @asynccontextmanager
    async def noted(
        self, principal: Principal, action: str, subject: str = ""
    ) -> AsyncIterator[Note]:
        """Writes the act down when it has ended, and what became of it where it was refused.

        Raises StorageError before the act
        where lines of others still wait to be written.
        """
        if self._unwritten:
            await asyncio.to_thread(self._expect_written)
        note = Note(subject)
        try:
            yield note
        except BaseException as problem:  # a caller who has left is told of, too
            note.outcome = type(problem).__name__
            raise
        finally:
            try:
                await asyncio.to_thread(
                    self.write, principal.owner, action, note.subject, note.outcome
                )
            except Exception as problem:  # noqa: BLE001 - the act is done, and its line kept
                self._tasks.report(f"writing down {action}", problem)
                self._catch_up()

    def write(self, owner: str, action: str, subject: str, outcome: str = "done") -> None:
        """Raises StorageError; the line is written with the next one then."""
        now = self._clock()
        with self._lock:
            self._counted += 1
            entry = AuditEntry(  # by the id of two acts in one millisecond: which was first
                id=f"audit-{int(now * 1000):012x}-{self._counted:06x}{secrets.token_hex(3)}",
                created_at=int(now),
                owner=storable(owner),
                action=action,
                subject=storable(subject)[:200],
                outcome=outcome,
            )
            day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
            self._unwritten.append((day, json.dumps(entry.model_dump())))
            self._flush()

    def _expect_written(self) -> None:
        with self._lock:
            try:
                self._flush()
            except StorageError as problem:
                raise StorageError(
                    "Nothing was done, as the audit of what others did cannot be written: "
                    f"{problem}"
                ) from problem

    def _flush(self) -> None:
        """Raises StorageError; what was not written stays."""
        while self._unwritten:
            day = self._unwritten[0][0]
            if day != self._day or len(self._lines) >= LINES:
                self._file = self._file + 1 if day == self._day else 0
                self._day, self._lines = day, []
            room = self._unwritten[: LINES - len(self._lines)]
            new = [line for _, line in next(iter(groupby(room, key=itemgetter(0))))[1]]
            name = f"{day}.{self._writer}.{self._file:04d}{ENDING}"
            self._folder.write(name, ("\n".join([*self._lines, *new]) + "\n").encode())
            self._lines += new
            del self._unwritten[: len(new)]

    def _catch_up(self) -> None:
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = self._tasks.keep("writing down what was done", self._write_rest)

    async def _write_rest(self) -> None:
        def flush() -> None:
            with self._lock:
                self._flush()

        await asyncio.to_thread(flush)

    def page(self, after: str | None, limit: int) -> Page[AuditEntry]:
        """The newest first. Raises NotFound for a cursor that there is not, StorageError."""
        return paginate(
            ((entry.id, entry) for entry in self._newest_first()),
            after,
            limit,
            lambda cursor: NotFound(f"There is no entry {cursor[:60]!r} in the audit."),
            lambda _, entry: entry,
        )

    def _newest_first(self) -> Iterator[AuditEntry]:
        names = self._folder.names(ENDING)
        for day in sorted({name.partition(".")[0] for name in names}, reverse=True):
            entries = [
                _entry(line, name, number)
                for name in names
                if name.startswith(f"{day}.")
                for number, line in enumerate(self._folder.read(name).splitlines(), 1)
            ]
            yield from sorted(entries, key=lambda entry: entry.id, reverse=True)


def _entry(line: bytes, name: str, number: int) -> AuditEntry:
    """A line that cannot be read is told of in its place, at the head of its day."""
    try:
        return AuditEntry.model_validate_json(line)
    except ValidationError:
        return AuditEntry(
            id=f"audit-damaged-{name}-{number:06d}"[:100],
            created_at=0,
            owner="",
            action="audit.damaged",
            subject=f"{name}, line {number}"[:200],
            outcome="unreadable",
        )
