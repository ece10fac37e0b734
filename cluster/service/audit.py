"""Who did what: one line an act, written once and never changed. Knows no HTTP, and holds no key and no content.

A store has no appending, so each writer has files of its own, of one day and at most LINES lines, which it alone writes anew:

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

from pydantic import ValidationError

from cluster.service.errors import NotFound
from cluster.service.objects import AuditEntry, Page
from cluster.service.office import Caller
from cluster.service.views.wording import plain
from serving.storage import Folder

LINES = 200
ENDING = ".jsonl"


@dataclass
class Note:
    """An act under way."""

    subject: str
    outcome: str = "done"


class Audit:
    """The audit of one service; safe to use from several threads."""

    def __init__(self, storage: Folder, clock: Callable[[], float] = time.time) -> None:
        self._folder = storage / "audit"
        self._clock = clock
        self._writer = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._written = 0
        self._day, self._file, self._lines = "", 0, list[str]()

    @asynccontextmanager
    async def noted(self, caller: Caller, action: str, subject: str = "") -> AsyncIterator[Note]:
        """Writes the act down when it has ended, and what became of it where it was refused."""
        note = Note(subject)
        try:
            yield note
        except BaseException as problem:  # a caller who has left is told of, too
            note.outcome = type(problem).__name__
            raise
        finally:
            await asyncio.to_thread(self.write, caller.owner, action, note.subject, note.outcome)

    def write(self, owner: str, action: str, subject: str, outcome: str = "done") -> None:
        """Raises StorageError."""
        now = self._clock()
        with self._lock:
            self._written += 1
            entry = AuditEntry(  # by the id of two acts in one millisecond: which was first
                id=f"audit-{int(now * 1000):012x}-{self._written:06x}{secrets.token_hex(3)}", created_at=int(now),
                owner=plain(owner), action=action, subject=plain(subject)[:200], outcome=outcome)
            day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
            if day != self._day or len(self._lines) >= LINES:
                self._file = self._file + 1 if day == self._day else 0
                self._day, self._lines = day, []
            self._lines.append(json.dumps(entry.model_dump()))
            name = f"{day}.{self._writer}.{self._file:04d}{ENDING}"
            self._folder.write(name, ("\n".join(self._lines) + "\n").encode())

    def page(self, after: str | None, limit: int) -> Page[AuditEntry]:
        """The newest first. Raises NotFound for a cursor that there is not, StorageError."""
        found: list[AuditEntry] = []
        passed = after is None
        for entry in self._newest_first():
            if passed:
                found.append(entry)
            passed = passed or entry.id == after
            if len(found) > limit:
                break
        if not passed:
            raise NotFound(f"There is no entry {(after or '')[:60]!r} in the audit.")
        part = found[:limit]
        return Page[AuditEntry](
            data=part, first_id=part[0].id if part else None, last_id=part[-1].id if part else None, has_more=len(found) > limit)

    def _newest_first(self) -> Iterator[AuditEntry]:
        names = self._folder.names(ENDING)
        for day in sorted({name.partition(".")[0] for name in names}, reverse=True):
            lines = [line for name in names if name.startswith(f"{day}.") for line in self._folder.read(name).splitlines()]
            yield from sorted(filter(None, map(_entry, lines)), key=lambda entry: entry.id, reverse=True)


def _entry(line: bytes) -> AuditEntry | None:
    """None for a line that is none of ours."""
    try:
        return AuditEntry.model_validate_json(line)
    except ValidationError:
        return None
