"""What a run leaves, for Python: tables, the best prompt, and a card for a notebook."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.analysis.winner import best_trials
from cluster.evaluation.settings import SUMMARY_FILE
from cluster.results.folder import REPORT_FILE, read_trials
from cluster.results.items import read_items
from cluster.trial.result import TrialResult
from optimizer.errors import DataError, SettingsError
from optimizer.prompt import Prompt
from optimizer.tasks.columns import MISSING, Columns, read_part, text_of
from serving.storage import Folder, open_folder, split_place


@dataclass(frozen=True)
class BestPrompt:
    """The best prompt of a task, ready to be used."""

    prompt: Prompt
    trial: str
    columns: Columns
    data: Mapping[str, Any]
    """The content of its file in best/."""

    @property
    def text(self) -> str:
        """Return the system message: everything but the demonstrations."""
        return self.prompt.text()

    @property
    def score(self) -> float | None:
        """Return its score on the test split; None where it was not tested."""
        return _number(self.data.get("test_accuracy"))

    @property
    def baseline_score(self) -> float | None:
        """Return the baseline's score on the test split; None where there was no test."""
        return _number(self.data.get("seed_prompt_test_accuracy"))

    @property
    def verdict(self) -> str:
        """Return what the test says of it against the baseline, such as "better"."""
        return str(self.data.get("verdict") or "")

    def messages(self, text: str | None = None, /, **row: Any) -> list[dict[str, str]]:
        """Return the chat messages for one input, as OpenAI's clients take them.

        Args:
            text: The input itself; or else
            row: The columns of a row, from which the input is made as in the data.

        Raises:
            DataError: The row lacks the columns of the input.
        """
        given = self._input(row) if text is None else text
        return [
            {"role": message.role, "content": message.content}
            for message in self.prompt.render(given)
        ]

    def save(self, file: str | Path) -> str:
        """Write it as a file for `promptray apply`, and return the place.

        Raises:
            StorageError: The file cannot be written.
        """
        folder, name = split_place(file)
        text = json.dumps(dict(self.data), indent=2, ensure_ascii=False) + "\n"
        folder.write(name, text.encode("utf-8", "backslashreplace"))
        return str(folder.place_of(name))

    def _input(self, row: Mapping[str, Any]) -> str:
        specification = self.columns.chosen(row).get("input")
        found = MISSING if specification is None else read_part(row, specification)
        if found is MISSING:
            wanted = self.columns.input or "input"
            raise DataError(f"The row has no {wanted}; it has: {', '.join(row) or 'nothing'}.")
        return text_of(found)


@dataclass(frozen=True)
class OptimizationResult:
    """A results folder of an experiment."""

    out: str
    results: tuple[TrialResult, ...]
    columns_by_task: Mapping[str, Columns]

    @property
    def folder(self) -> Folder:
        """Return the results folder."""
        return open_folder(self.out)

    @property
    def best(self) -> BestPrompt:
        """Return the best prompt, by dev score, of the only task.

        Raises:
            DataError: There is no best prompt, or there are several tasks.
        """
        found = self.best_by_task
        if len(found) > 1:
            raise DataError(f"There are several tasks ({', '.join(found)}): use best_by_task.")
        if not found:
            errors = [result.error for result in self.results if result.error]
            raise DataError(
                f"No trial has found a prompt. {' '.join(dict.fromkeys(errors))}".strip()
            )
        return next(iter(found.values()))

    @property
    def best_by_task(self) -> dict[str, BestPrompt]:
        """Return the best prompt of each task that has one."""
        best = self.folder / "best"
        return {
            task: BestPrompt(
                result.best.prompt,
                result.trial,
                self.columns_by_task.get(task, Columns()),
                json.loads(best.read(f"{result.trial}.json")),
            )
            for task, result in best_trials(self.results).items()
            if result.best is not None
        }

    @property
    def trials(self) -> pa.Table:
        """Return a row a trial, as trials.parquet has them."""
        return self._table("trials")

    @property
    def candidates(self) -> pa.Table:
        """Return a row a candidate."""
        return self._table("candidates")

    @property
    def costs(self) -> pa.Table:
        """Return what each trial cost."""
        return self._table("costs")

    @property
    def items(self) -> pa.Table:
        """Return a row an answer of the final tests."""
        return read_items(self.out)

    @property
    def report(self) -> str:
        """Return the place of the report page."""
        return self.folder.place_of(REPORT_FILE)

    def _table(self, name: str) -> pa.Table:
        return pq.read_table(pa.BufferReader(self.folder.read(f"{name}.parquet")))

    def _repr_html_(self) -> str:
        """Return a card for a notebook."""
        rows = [
            (
                result.trial,
                result.status,
                _shown(result.seed_prompt_test_accuracy),
                _shown(result.test_accuracy),
                result.shown_verdict or result.error,
            )
            for result in self.results
        ]
        wrapped = "<pre style='white-space:pre-wrap'>"
        prompts = "".join(
            f"<p><b>{escape(task)}</b></p>{wrapped}{escape(best.text)}</pre>"
            for task, best in self.best_by_task.items()
        )
        head = ("trial", "status", "baseline", "best", "verdict")
        return f"<div>{_html_table(head, rows)}{prompts}<p>{escape(self.report)}</p></div>"

    def __repr__(self) -> str:
        return f"OptimizationResult({self.out!r}, {len(self.results)} trials)"


@dataclass(frozen=True)
class EvaluationResult:
    """A results folder of an evaluation."""

    out: str
    summary: Mapping[str, Any]
    """The content of summary.json."""

    @property
    def scores(self) -> dict[str, float | None]:
        """Return the mean score of each prompt, by its label."""
        return {one["prompt"]: one["mean"] for one in self.summary["prompts"]}

    @property
    def prompts(self) -> pa.Table:
        """Return a row a prompt: mean score, interval, and how many answers are missing."""
        rows = [
            {key: value for key, value in one.items() if key != "verdicts"}
            for one in self.summary["prompts"]
        ]
        return pa.Table.from_pylist(rows)

    @property
    def comparisons(self) -> pa.Table:
        """Return a row a pair of prompts, corrected together; no rows for a single prompt."""
        return pa.Table.from_pylist(list(self.summary["comparisons"]))

    @property
    def items(self) -> pa.Table:
        """Return a row an answer."""
        return read_items(self.out)

    @property
    def passed(self) -> bool | None:
        """Return whether every prompt reaches the least score; None where that is not known."""
        found: bool | None = self.summary["passed"]
        return found

    def _repr_html_(self) -> str:
        """Return a card for a notebook."""
        rows = [
            (
                one["prompt"],
                _shown(one["mean"]),
                f"[{one['low']:.3f}, {one['high']:.3f}]",
                one["items"],
            )
            for one in self.summary["prompts"]
        ]
        return f"<div>{_html_table(('prompt', 'score', '95% interval', 'items'), rows)}</div>"

    def __repr__(self) -> str:
        return f"EvaluationResult({self.out!r}, {self.scores!r})"


def opened(out: str, columns_by_task: Mapping[str, Columns]) -> OptimizationResult:
    """Return the results folder of an experiment.

    Raises:
        DataError: A result cannot be read.
        StorageError: The folder cannot be read.
    """
    return OptimizationResult(out, tuple(read_trials(out)), columns_by_task)


def opened_evaluation(out: str) -> EvaluationResult:
    """Return the results folder of an evaluation.

    Raises:
        SettingsError: It has not ended yet.
        StorageError: The folder cannot be read.
    """
    folder = open_folder(out)
    if not folder.exists(SUMMARY_FILE):
        raise SettingsError(
            f"The evaluation in {out} has not ended; `promptray resume {out}` continues it."
        )
    return EvaluationResult(out, json.loads(folder.read(SUMMARY_FILE)))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _html_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
