"""The quickstart without Ray and without its target model: its answers as they were recorded, and what README.md shows of it.

    python -m tests.contracts.quickstart [OUT]      records: runs the quickstart into OUT (unless OUT has a finished run), takes the
                                                    target's answers out of its ledger into quickstart.parquet, and writes what it
                                                    printed into README.md

A replay takes every step that the trials take but the target model's: searches, selection, the built-in optimizer, tests, report.
So it prints what the command prints at this version of the code, or it asks for an answer that nobody has recorded, and says so.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from cluster.plans import plan_of
from cluster.preparation import check
from cluster.report import form_lines, leader_lines, results_table
from cluster.result import TrialResult
from cluster.settings import ExperimentSettings
from cluster.trial import Trial
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Outcome, Request
from serving.ledger.keys import key_of
from serving.ledger.record import Ledger

ROOT = Path(__file__).parents[2]
SETTINGS, README = ROOT / "tune_configs" / "quickstart.yaml", ROOT / "README.md"
ANSWERS = Path(__file__).with_suffix(".parquet")
AGAIN = "make them anew with: .venv/bin/python -m tests.contracts.quickstart results/readme"
_SHOWN = re.compile(r"(?<=What the quickstart prints at its end:\n\n```\n).*?(?=```\n)", re.DOTALL)
_COLUMNS = {"key": pa.binary(8), "text": pa.string(), "truncated": pa.bool_()}


class Recorded:
    """The target model, from a table of answers."""

    def __init__(self, name: str, answer_by_key: dict[bytes, Completion]) -> None:
        self.name = name
        self._answer_by_key = answer_by_key

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        missing = sum(short_key(self.name, request) not in self._answer_by_key for request in requests)
        assert not missing, f"the quickstart takes another course: {missing} answers are not recorded; {AGAIN}"
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
    optimizer = settings.optimizer_model.engine()  # type: ignore[union-attr]
    return [
        await Trial(plan_of(settings, trial), tasks[trial.contest], target, optimizer).run() for trial in trials]


def printed(results: Sequence[TrialResult]) -> str:
    """What the command prints at its end, but for the last two lines."""
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(results_table(results))
        for line in (*leader_lines(results), *form_lines(results)):
            console.print(line, markup=False, highlight=False)
        return console.export_text()


def shown() -> str:
    """What README.md says that the quickstart prints."""
    found = _SHOWN.search(README.read_text())
    assert found, "README.md shows no output of the quickstart"
    return found[0]


def rows(text: str) -> list[list[str]]:
    """The table's rows, cell by cell, without the wall time."""
    lines = [line.strip() for line in text.splitlines()]
    rule = next(place for place, line in enumerate(lines) if line.startswith("──"))
    return [re.split(r"\s{2,}", line)[:-1] for line in lines[rule + 1 :][: lines[rule + 1 :].index("")]]


def sentences(text: str) -> str:
    """What stands behind the table, as one line."""
    end = text.index("\n\n", text.index("──")) if "\n\n" in text else len(text)
    return " ".join(text[end:].partition("Results: ")[0].split())


def target_name() -> str:
    return ExperimentSettings.read(SETTINGS).target_model.identity


def _record(out: Path) -> None:
    printed_by_command = _run(out)
    asyncio.run(_take_answers(out))
    README.write_text(_SHOWN.sub(lambda _: printed_by_command, README.read_text()))


def _run(out: Path) -> str:
    command = [str(Path(sys.executable).with_name("promptray")), "run", str(SETTINGS), "--out", str(out)]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    lines = ended.stdout[ended.stdout.index("\n", ended.stdout.rindex(" of 12 trials done")) :].splitlines()
    start = next(place for place, line in enumerate(lines) if line.strip())
    width = min(len(line) - len(line.lstrip()) for line in lines[start:] if "──" in line)
    return "\n".join(line[width:].rstrip() for line in lines[start:]) + "\n"


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
            taken.update({short_key(name, request): answer for request, answer in zip(requests, answers, strict=True)})
            return answers

    try:
        await replayed(FromLedger())
    finally:
        ledger.close()
    rows = [{"key": key, "text": taken[key].text, "truncated": taken[key].truncated} for key in sorted(taken)]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(_COLUMNS)), ANSWERS, compression="zstd", compression_level=19)


if __name__ == "__main__":
    _record(Path(sys.argv[1] if len(sys.argv) > 1 else "results/readme"))
