"""The items of a results folder: every answer of the trials' final tests, with its score.

    OUT/
      items.parquet          a row an answer (ITEMS), of all trials that were tested
      items/TRIAL.parquet    the same of one trial, as it leaves them

A trial's worker makes the table of its trial; it travels to the driver as text beside the result.
The whole file is put together from those of the trials, one row group after the other, so that no
more than one trial's rows are in memory unpacked. These names and columns are an interface: keep
them.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.trial.final_test import Tested
from cluster.trial.result import TrialResult
from optimizer.errors import StorageError
from optimizer.types import Answer, Example
from serving.storage import Folder, open_folder
from serving.storage.text import storable

Place = Folder | Path | str
ITEMS_FILE = "items.parquet"
ITEMS_FOLDER = "items"
ROWS_OF_A_GROUP = 5_000
"""Rows that are packed together: a reader needs no more of them in memory [ours]."""
ITEMS: pa.Schema = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),  # names the trial as the other tables do
        pa.field("split", pa.string(), nullable=False),  # test, or dev
        pa.field("example", pa.string(), nullable=False),  # its id
        pa.field("fields", pa.string(), nullable=False),  # JSON: its whole row, else its input
        pa.field("input", pa.string(), nullable=False),  # what the target model was asked
        pa.field("target", pa.string()),  # JSON where several answers are accepted; null: none
        pa.field("prompt", pa.string(), nullable=False),  # baseline, best or control
        pa.field("output", pa.string(), nullable=False),  # the target's whole response
        pa.field("answer", pa.string(), nullable=False),  # what the grader read of it
        pa.field("verdict", pa.string(), nullable=False),  # as optimizer.types.Verdict
        pa.field("score", pa.float64()),  # 0.0 to 1.0; null where infrastructure gave no answer
        pa.field("feedback", pa.string(), nullable=False),  # of the grader; "" without
        pa.field("prompt_tokens", pa.int64()),  # null where the endpoint does not report them
        pa.field("completion_tokens", pa.int64()),
    ]
)
"""A row an answer."""


def items_table(trial: str, tested: Tested) -> pa.Table:
    """Return a row for each answer of a final test, and for the dev answers of its two prompts."""
    parts: tuple[tuple[str, str, Sequence[Answer]], ...] = (
        ("test", "baseline", tested.before),
        ("test", "best", tested.after),
        ("test", "control", tested.control),
        ("dev", "baseline", tested.dev_before),
        ("dev", "best", tested.dev_after),
    )
    rows = [
        {"trial": storable(trial), "split": split, "prompt": prompt} | answer_row(answer)
        for split, prompt, answers in parts
        for answer in answers
    ]
    return pa.Table.from_pylist(rows, schema=ITEMS)


def answer_row(answer: Answer) -> dict[str, Any]:
    """Return what the columns of ITEMS have of an answer, whatever it belongs to."""
    example, score = answer.example, answer.score
    return {
        "example": storable(example.id),
        "fields": _fields(example),
        "input": storable(example.input),
        "target": target_text(example),
        "output": storable(answer.text),
        "answer": storable(score.answer),
        "verdict": score.verdict,
        "score": score.value,
        "feedback": storable(score.feedback),
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }


def target_text(example: Example) -> str | None:
    """Return the accepted answer; a JSON list where there are several, None where there is none."""
    if not example.answers:
        return None
    if len(example.answers) == 1:
        return storable(example.answers[0])
    return storable(json.dumps(list(example.answers), ensure_ascii=False))


def _fields(example: Example) -> str:
    row = dict(example.fields) or {"input": example.input}
    return storable(json.dumps(row, ensure_ascii=False, default=str))


def packed(table: pa.Table) -> bytes:
    """Return a table of items as a Parquet file, in row groups of bounded size."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROWS_OF_A_GROUP)
    return bytes(sink.getvalue().to_pybytes())


def as_text(file: bytes) -> str:
    """Return a file as text, for a report that carries nothing else."""
    return base64.b85encode(file).decode("ascii")


def from_text(text: str) -> bytes:
    """Return the file that `as_text` was given."""
    return base64.b85decode(text)


def write_trial_items(out: Place, trial: str, file: bytes) -> None:
    """Write `OUT/items/TRIAL.parquet`, a file that `packed` has made.

    Raises:
        StorageError: `out` cannot be written.
    """
    (open_folder(out) / ITEMS_FOLDER).write(f"{trial}.parquet", file)


def clear_trial_items(out: Place, trial: str) -> None:
    """Delete what `write_trial_items` has left of a trial.

    Raises:
        StorageError: The file cannot be deleted.
    """
    (open_folder(out) / ITEMS_FOLDER).delete(f"{trial}.parquet")


def joined_items(out: Place, results: Iterable[TrialResult]) -> bytes:
    """Return the content of `OUT/items.parquet`: the files of those trials that were tested.

    A file that cannot be read is left out: a trial that is repeated writes it again.

    Raises:
        StorageError: `out` cannot be read.
    """
    folder = open_folder(out)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, ITEMS, compression="zstd") as writer:
        for result in results:
            # What an earlier run has left of a trial that was not tested this time does not count.
            table = read_trial_items(folder, result.trial) if result.test_marks else None
            if table is not None and len(table):
                writer.write_table(table, row_group_size=ROWS_OF_A_GROUP)
    return bytes(sink.getvalue().to_pybytes())


def read_trial_items(out: Place, trial: str) -> pa.Table | None:
    """Return the items of one trial; None where there is no such file, or it is none of ours.

    Raises:
        StorageError: The folder cannot be read.
    """
    folder = open_folder(out) / ITEMS_FOLDER
    name = f"{trial}.parquet"
    if not folder.exists(name):
        return None
    try:
        return pq.read_table(pa.BufferReader(folder.read(name))).select(ITEMS.names).cast(ITEMS)
    except (pa.ArrowException, KeyError, ValueError) as problem:
        if isinstance(problem, StorageError):
            raise
        return None


def read_items(out: Place) -> pa.Table:
    """Return all items of a results folder; no rows where an older version has written it.

    Raises:
        StorageError: The folder cannot be read.
    """
    folder = open_folder(out)
    if not folder.exists(ITEMS_FILE):
        return ITEMS.empty_table()
    return pq.read_table(pa.BufferReader(folder.read(ITEMS_FILE)))
