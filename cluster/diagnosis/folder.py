"""The results folder of a diagnosis.

    OUT/
      diagnosis.json       every figure, verdict and sentence, by task and measure
      feedbacks.parquet    a row a feedback      (FEEDBACKS)
      refinements.parquet  a row a new prompt    (REFINEMENTS)
      diagnosis.html       the page for people   (page.py)

`settings.yaml` and `ledger/` stand beside them. These names are an interface: keep them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from cluster.diagnosis.page import diagnosis_page
from cluster.diagnosis.result import TaskDiagnosis
from cluster.results.tables import as_parquet
from optimizer.diagnostics import OneStep
from serving.storage import Folder
from serving.storage.text import storable, storable_bytes

DIAGNOSIS_FILE = "diagnosis.json"
PAGE_FILE = "diagnosis.html"

FEEDBACKS: pa.Schema = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field(
            "given", pa.string(), nullable=False
        ),  # what the critic was shown: errors, right, nothing
        pa.field("set", pa.int64(), nullable=False),  # which set of examples
        pa.field("text", pa.string(), nullable=False),
        pa.field("named", pa.string(), nullable=False),  # the step that it blames; "" for none
        pa.field(
            "causes", pa.list_(pa.string()), nullable=False
        ),  # where the errors truly go wrong, as far as known
        pa.field("valid", pa.bool_()),  # null where no error was shown, or no cause is known
    ]
)
REFINEMENTS: pa.Schema = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("instruction", pa.string(), nullable=False),
        pa.field(
            "reason", pa.string(), nullable=False
        ),  # the feedback behind it; "" for a paraphrase
        pa.field("change", pa.float64(), nullable=False),  # in dev accuracy
        pa.field("improved", pa.int64(), nullable=False),  # items
        pa.field("worsened", pa.int64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),  # of the exact paired test
    ]
)


def write_diagnosis(
    out: Folder, results: Sequence[TaskDiagnosis], settings: Mapping[str, Any]
) -> str:
    """Write all files, over what an earlier run left.

    Args:
        out: The results folder.
        results: One diagnosis for each task.
        settings: Shown on the page as they are, so they must hold no secrets.

    Returns:
        The place of the page.

    Raises:
        StorageError: The folder cannot be written.
    """
    content = {"settings": dict(settings), "tasks": [result.to_json() for result in results]}
    out.write(
        DIAGNOSIS_FILE, storable_bytes(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    )
    out.write("feedbacks.parquet", as_parquet(feedbacks_table(results)))
    out.write("refinements.parquet", as_parquet(refinements_table(results)))
    out.write(PAGE_FILE, storable_bytes(diagnosis_page(results, settings)))
    return out.place_of(PAGE_FILE)


def feedbacks_table(results: Sequence[TaskDiagnosis]) -> pa.Table:
    """Return one row for each feedback, with the columns of FEEDBACKS."""
    rows = [
        _row(result, feedback)
        for result in results
        if result.found
        for feedback in result.found.feedbacks
    ]
    return pa.Table.from_pylist(rows, schema=FEEDBACKS)


def refinements_table(results: Sequence[TaskDiagnosis]) -> pa.Table:
    """Return one row for each prompt that was refined once, with the columns of REFINEMENTS."""
    tried = [(result, result.found.one_step) for result in results if result.found]
    rows = [
        _row(result, one)
        for result, found in tried
        if isinstance(found, OneStep)
        for one in found.refinements
    ]
    return pa.Table.from_pylist(rows, schema=REFINEMENTS)


def _row(result: TaskDiagnosis, value: Any) -> dict[str, Any]:
    row = {"task": result.task} | asdict(value)
    return {name: storable(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
