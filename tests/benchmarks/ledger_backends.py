"""What a local ledger costs in segments, as it is kept, and what it would cost in SQLite.

    python -m tests.benchmarks.ledger_backends [--answers 20000] [--repetitions 5] [--appends 2000]

Appends: callers that each record one answer after the other through the same group commit, 1, 16 and
64 of them. Replays: open a ledger of so many answers and look up every key, in the order in which
they were recorded. Memory: what the process grows by. Every figure is the median of fresh processes.

    segments         the ledger of serving.ledger
    sqlite-normal    WAL, synchronous=NORMAL: a power cut may take what was acknowledged
    sqlite-full      WAL, synchronous=FULL: as durable as segments; requests packed with zstd
    sqlite-checked   the same, and when it is opened every entry is seen to be sound, as in segments

A script, no test.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any, Protocol

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from optimizer.types import Completion, Message, Request
from serving.ledger import Ledger, Paid, key_of
from serving.ledger.group_commit import Groups
from serving.ledger.schema import metadata_bytes, request_text

MODEL = "benchmark:instant@1"
WORDS = "step write position after each move return left right the answer is not so".split()
CALLERS = (1, 16, 64)
GROUP = 16
"""Answers that are recorded together where it is not the appends that are measured."""
SAME_PROMPT = 200
"""Items that a prompt is asked about before the next one."""
_COLUMNS = (
    "key, text, truncated, prompt_tokens, completion_tokens, metadata, cached_tokens, model, "
    "purpose, request, recorded_at"
)
_ZSTD = pa.Codec("zstd", 1)


class Store(Protocol):
    def append(self, paid_by_key: Mapping[bytes, Paid], /) -> None: ...

    def get(self, key: bytes, /) -> Completion | None: ...

    def close(self) -> None: ...


class SqliteLedger:
    """A ledger in one table."""

    def __init__(self, folder: str, synchronous: str = "FULL", checked: bool = False) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            Path(folder) / "ledger.sqlite", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={synchronous}")
        unique = _COLUMNS.replace("key,", "key BLOB NOT NULL UNIQUE,")
        self._db.execute(f"CREATE TABLE IF NOT EXISTS answers({unique})")
        if checked:
            self._check()

    def _check(self) -> None:
        """See that no page is damaged, and take the sum of every entry."""
        assert self._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM answers"):
            blake2b(repr(row).encode(), digest_size=16).digest()

    def append(self, paid_by_key: Mapping[bytes, Paid]) -> None:
        rows = [_row(key, paid) for key, paid in paid_by_key.items()]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            marks = ",".join("?" * 11)
            self._db.executemany(f"INSERT OR IGNORE INTO answers VALUES ({marks})", rows)
            self._db.execute("COMMIT")

    def get(self, key: bytes) -> Completion | None:
        with self._lock:
            row = self._db.execute(
                "SELECT text, truncated, prompt_tokens, completion_tokens, metadata, cached_tokens "
                "FROM answers WHERE key = ?",
                (key,),
            ).fetchone()
        if row is None:
            return None
        text, truncated, prompt, completion, metadata, cached = row
        said = {} if metadata == b"{}" else json.loads(metadata)
        words = text.decode("utf-8", "surrogatepass")
        return Completion(words, bool(truncated), prompt, completion, True, said, cached)

    def close(self) -> None:
        self._db.close()


def _row(key: bytes, paid: Paid) -> tuple[Any, ...]:
    answer = paid.answer
    return (
        key,
        answer.text.encode("utf-8", "surrogatepass"),
        answer.truncated,
        answer.prompt_tokens,
        answer.completion_tokens,
        metadata_bytes(answer),
        answer.cached_tokens,
        paid.model,
        paid.request.purpose,
        _ZSTD.compress(request_text(paid.request).encode(), asbytes=True),
        time.time_ns() // 1000,
    )


STORES: dict[str, Callable[[str], Store]] = {
    "segments": Ledger,
    "sqlite-normal": lambda folder: SqliteLedger(folder, "NORMAL"),
    "sqlite-full": SqliteLedger,
    "sqlite-checked": lambda folder: SqliteLedger(folder, checked=True),
}


def entries(number: int) -> Iterator[tuple[bytes, Paid]]:
    """Prompts of 1,500 characters with items of 200, and answers of 350."""
    rng = Random(0)
    for at in range(number):
        if at % SAME_PROMPT == 0:
            prompt = " ".join(rng.choices(WORDS, k=280))
        asked = Request((Message("user", f"{prompt}\n{' '.join(rng.choices(WORDS, k=36))} {at}"),))
        answer = Completion(" ".join(rng.choices(WORDS, k=60)), False, 400, 60)
        yield key_of(MODEL, asked), Paid(answer, MODEL, asked)


async def appended_s(store: Store, items: Iterator[tuple[bytes, Paid]], callers: int) -> float:
    async def commit(group: Mapping[bytes, Paid]) -> Mapping[bytes, Paid]:
        await asyncio.to_thread(store.append, group)
        return group

    groups = Groups(commit)

    async def caller() -> None:
        for key, paid in items:
            await groups.committed({key: paid})

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - began


def append(name: str, folder: str, number: int, callers: int) -> dict[str, float]:
    items = list(entries(number))
    store = STORES[name](folder)
    took_s = asyncio.run(appended_s(store, iter(items), callers))
    store.close()
    return {"appends/s": number / took_s}


def fill(name: str, folder: str, number: int, _: int) -> dict[str, float]:
    store = STORES[name](folder)
    items = list(entries(number))
    for at in range(0, number, GROUP):
        store.append(dict(items[at : at + GROUP]))
    store.close()
    return {}


def replay(name: str, folder: str, number: int, _: int) -> dict[str, float]:
    keys = [key for key, _ in entries(number)]
    before = resident_mb()
    began = time.perf_counter()
    store = STORES[name](folder)
    opened_s = time.perf_counter() - began
    assert all(store.get(key) for key in keys)
    took_s = time.perf_counter() - began
    grown_mb = resident_mb() - before
    store.close()
    size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
    return {"open s": opened_s, "replays/s": number / took_s, "MB": grown_mb, "MB on disk": size}


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


STEPS = {"append": append, "fill": fill, "replay": replay}


def apart(step: str, name: str, folder: str, number: int, callers: int = 1) -> dict[str, float]:
    """Take a step in a process of its own."""
    command = (sys.executable, "-m", "tests.benchmarks.ledger_backends", "--step", step, name)
    arguments = (folder, str(number), str(callers))
    done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as full:
        apart("fill", name, full, options.answers)
        apart("replay", name, full, options.answers)  # segments are merged when they are opened
        for _ in range(options.repetitions):
            run: dict[str, float] = {}
            for callers in CALLERS:
                with tempfile.TemporaryDirectory(dir=options.folder) as empty:
                    number = options.appends * min(callers, 8)
                    done = apart("append", name, empty, number, callers)
                    run[f"appends/s, {callers} callers"] = done["appends/s"]
            runs.append(run | apart("replay", name, full, options.answers))
    return {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--appends", type=int, default=2_000, help="of one caller; of more, more")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--folder", help="where the ledgers are made; default: for temporary files")
    parser.add_argument("--step", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step, name, folder, number, callers = options.step
        print(json.dumps(STEPS[step](name, folder, int(number), int(callers))))
        return
    figures = {name: measure(name, options) for name in options.stores}
    table = Table("median", *figures, title=f"{options.answers:,} answers")
    for figure in next(iter(figures.values())):
        table.add_row(figure, *(f"{one[figure]:,.2f}" for one in figures.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
