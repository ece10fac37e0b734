"""The audit log: one line for each act, written once and never changed.

Holds no key and no content. Knows no HTTP.

An object store cannot append, so each writer has files of its own, of one day and at most LINES
lines, which it alone rewrites:

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
from serving.runtime.supervision import Backoff, Supervisor
from serving.storage import Folder
from serving.storage.text import storable

LINES = 200
ENDING = ".jsonl"


@dataclass
class Note:
    """An act under way; its subject may become known on the way."""

    subject: str
    outcome: str = "done"


class Audit:
    """The audit log of one service; safe to use from several threads.

    An act that was done is never answered with an error because its line could not be written. The
    line is kept in memory and written as soon as that is possible; until then no further act may
    begin.
    """

    def __init__(
        self,
        storage: Folder,
        clock: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
    ) -> None:
        """Write to a folder of `storage`.

        Args:
            storage: The service's folder.
            clock: Returns Unix seconds.
            backoff: The pauses between attempts to write; None: the usual ones.
        """
        self._folder = storage / "audit"
        self._clock = clock
        self._writer = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._counted = 0
        self._day, self._file, self._lines = "", 0, list[str]()
        self._unwritten: list[tuple[str, str]] = []
        """Day and line of acts that are in no file yet."""
        self._tasks = Supervisor("the audit", backoff)
        self._catching_up: asyncio.Task[None] | None = None

    def faults(self, least: int = 1) -> list[str]:
        """Return one sentence for each background task that fails; see Supervisor.faults."""
        return self._tasks.faults(least)

    @asynccontextmanager
    async def recorded(
        self, principal: Principal, action: str, subject: str = ""
    ) -> AsyncIterator[Note]:
        """Record an act at the end of the block, with its error if it was refused.

        Args:
            principal: Who acts.
            action: What is done, such as "file.upload".
            subject: What it is done to, if that is known already.

        Raises:
            StorageError: Before the act: lines of earlier acts cannot be written.
        """
        if self._unwritten:
            await asyncio.to_thread(self._expect_written)
        note = Note(subject)
        try:
            yield note
        except BaseException as problem:  # also where the client has disconnected
            note.outcome = type(problem).__name__
            raise
        finally:
            try:
                await asyncio.to_thread(
                    self.write, principal.owner, action, note.subject, note.outcome
                )
            except Exception as problem:  # noqa: BLE001 - the act is done, and its line is kept
                self._tasks.report(f"writing down {action}", problem)
                self._catch_up()

    def write(self, owner: str, action: str, subject: str, outcome: str = "done") -> None:
        """Write the line of an act.

        Args:
            owner: Who acted.
            action: What was done.
            subject: What it was done to.
            outcome: "done", or the error.

        Raises:
            StorageError: The storage does not answer; the line is written with the next one.
        """
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
        """Write all lines that are in no file yet; on a StorageError they stay."""
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
            self._catching_up = self._tasks.until_done(
                "writing down what was done", self._write_rest
            )

    async def _write_rest(self) -> None:
        def flush() -> None:
            with self._lock:
                self._flush()

        await asyncio.to_thread(flush)

    def page(self, after: str | None, limit: int) -> Page[AuditEntry]:
        """Return one page of the log, the newest first.

        Args:
            after: The id of the entry before the page; None: from the newest on.
            limit: The most entries on the page.

        Raises:
            NotFound: There is no such entry.
            StorageError: The storage does not answer.
        """
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
    """Read a line; one that cannot be read gives an entry that says so, as the first of its day."""
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
