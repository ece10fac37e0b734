"""The quickstart without Ray and without its target model: its answers as they were recorded, and
what README.md shows of it.

    python -m tests.contracts.quickstart OUT    records: runs the quickstart into OUT, a new folder,
                                                takes the target's answers out of its ledger into
                                                quickstart.parquet, and writes what it printed into
                                                README.md

A replay takes every step that the trials take but the target model's: searches, selection, the
built-in optimizer, tests, report. So it prints what the command prints at this version of the code,
or it asks for an answer that nobody has recorded, and says so."""

import asyncio
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import plan_of
from cluster.experiment.prepare import check
from cluster.results import best_lines, form_lines, leader_lines, results_table
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Outcome, Request
from serving.ledger.schema import key_of
from serving.ledger.store import Ledger
from serving.models import open_in_process

ROOT = Path(__file__).parents[2]
SETTINGS, README = ROOT / "tune_configs" / "quickstart.yaml", ROOT / "README.md"
ANSWERS = Path(__file__).with_suffix(".parquet")
AGAIN = "make them anew with: .venv/bin/python -m tests.contracts.quickstart results/readme"
_SHOWN = re.compile(
    r"(?<=What `make quickstart` prints at its end:\n\n```\n).*?(?=```\n)", re.DOTALL
)
_COLUMNS_SHOWN = 11
_COLUMNS = {"key": pa.binary(8), "text": pa.string(), "truncated": pa.bool_()}


class Recorded:
    """The target model, from a table of answers."""

    def __init__(self, name: str, answer_by_key: dict[bytes, Completion]) -> None:
        self.name = name
        self._answer_by_key = answer_by_key

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        missing = sum(
            short_key(self.name, request) not in self._answer_by_key for request in requests
        )
        assert not missing, (
            f"the quickstart takes another course: {missing} answers are not recorded; {AGAIN}"
        )
        return [self._answer_by_key[short_key(self.name, request)] for request in requests]


def short_key(model: str, request: Request) -> bytes:
    """Eight bytes of the ledger's key."""
    return key_of(model, request)[:8]


def recorded() -> dict[bytes, Completion]:
    table = pq.read_table(ANSWERS)
    return {row["key"]: Completion(row["text"], row["truncated"]) for row in table.to_pylist()}


async def replayed(target: LanguageModel) -> list[TrialResult]:
    """All trials of the quickstart, one after the other."""
    settings = ExperimentSettings.read(SETTINGS)
    trials, tasks, _ = check(settings)
    optimizer = open_in_process(settings.optimizer_model)
    return [
        await Trial(
            plan_of(settings, trial), tasks[trial.comparison_group], target, optimizer
        ).run()
        for trial in trials
    ]


def printed(results: Sequence[TrialResult]) -> str:
    """What the command prints at its end, but for the last two lines."""
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(results_table(results))
        for line in (*leader_lines(results), *form_lines(results), *best_lines(results, "OUT")):
            console.print(line, markup=False, highlight=False)
        return console.export_text()


def shown() -> str:
    """What README.md says that the quickstart prints."""
    found = _SHOWN.search(README.read_text())
    assert found, "README.md shows no output of the quickstart"
    return found[0]


def rows(text: str) -> list[list[str]]:
    """The table's rows, cell by cell, without the wall time."""
    return [_cells(line)[:-1] for line in text.splitlines() if _is_row(line)]


def sentences(text: str) -> str:
    """What stands behind the table's last row and before the place of the results, on one line;
    that place is OUT.
    """
    lines = text.splitlines()
    last = max(place for place, line in enumerate(lines) if _is_row(line))
    said = " ".join("\n".join(lines[last + 1 :]).partition("Results: ")[0].split())
    return re.sub(r"\S+/best/", "OUT/best/", said)


def _is_row(line: str) -> bool:
    """A row has a cell a column, and a head of the table has no figure behind it."""
    return len(_cells(line)) == _COLUMNS_SHOWN and bool(re.search(r"\d (?:s|min|h)$", line.strip()))


def _cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def target_name() -> str:
    return ExperimentSettings.read(SETTINGS).target_model.identity


def _record(out: Path) -> None:
    if out.exists():
        raise SystemExit(
            f"{out} is there already: its answers would take no time; name a new folder."
        )
    command = [
        str(Path(sys.executable).with_name("promptray")),
        "run",
        str(SETTINGS),
        "--out",
        str(out),
    ]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    asyncio.run(_take_answers(out))
    README.write_text(_SHOWN.sub(lambda _: for_readme(ended.stdout), README.read_text()))


def for_readme(said: str) -> str:
    """What the command said at its end, as README.md shows it: no empty rows in the table, and
    sentences no longer than it.
    """
    lines = said[said.index("\n", said.rindex(" trials finished")) :].splitlines()
    last = max(place for place, line in enumerate(lines) if _is_row(line))
    table = [line[1:].rstrip() for line in lines[: last + 1] if line.strip()]
    rest = [
        part
        for line in lines[last + 1 :]
        if line.strip()
        for part in textwrap.wrap(line, 138, break_on_hyphens=False)
    ]
    results = next(place for place, line in enumerate(rest) if line.startswith("Results: "))
    return "\n".join([*table, "", *rest[:results], "", *rest[results:]]) + "\n"


async def _take_answers(out: Path) -> None:
    name = target_name()
    taken: dict[bytes, Completion] = {}
    ledger = Ledger(out / "ledger")

    class FromLedger:
        """The target model, from the ledger of a real run."""

        def __init__(self) -> None:
            self.name = name

        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            answers: list[Any] = [ledger.get(key_of(name, request)) for request in requests]
            assert None not in answers, "the run took another course than its replay"
            taken.update(
                {
                    short_key(name, request): answer
                    for request, answer in zip(requests, answers, strict=True)
                }
            )
            return answers

    try:
        await replayed(FromLedger())
    finally:
        ledger.close()
    rows = [
        {"key": key, "text": taken[key].text, "truncated": taken[key].truncated}
        for key in sorted(taken)
    ]
    pq.write_table(
        pa.Table.from_pylist(rows, schema=pa.schema(_COLUMNS)),
        ANSWERS,
        compression="zstd",
        compression_level=19,
    )


if __name__ == "__main__":
    _record(Path(sys.argv[1]))
