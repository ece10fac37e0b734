"""The result tables as Arrow: trials, candidates, costs and failures.

Their names and columns are an interface: keep them.

The first two hold what was found, and are the same to the last byte however often a run was cut and
continued; the others hold what that cost, and which calls failed. All are made from `TrialResult`
alone. Text that cannot be stored as UTF-8 (a lone surrogate out of some reply) is stored escaped.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.analysis.comparisons import corrected_against_control, corrected_verdicts
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate, Standing, fuller
from serving.storage.text import storable

TRIALS: pa.Schema = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),  # the label in the experiment file
        pa.field("selection", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("optimizer", pa.string(), nullable=False),
        pa.field(
            "status", pa.string(), nullable=False
        ),  # finished, budget, pruned, stopped, cancelled, failed
        pa.field(
            "seed_prompt_test_accuracy", pa.float64()
        ),  # accuracies are shares from 0 to 1; null is "not measured"
        pa.field("test_accuracy", pa.float64()),
        pa.field("test_low", pa.float64()),  # ends of the 95% interval of test_accuracy
        pa.field("test_high", pa.float64()),
        pa.field(
            "verdict", pa.string()
        ),  # better, worse, not distinguishable; null where nothing was compared
        pa.field("dev_accuracy", pa.float64()),
        pa.field(
            "adherence", pa.float64()
        ),  # share of the best prompt's steps that were followed; null for a prompt without steps
        pa.field(
            "target_calls", pa.int64(), nullable=False
        ),  # calls count those that the ledger answered
        pa.field("optimizer_calls", pa.int64(), nullable=False),
        pa.field(
            "settings", pa.string()
        ),  # JSON: the point of the search space, by key; null where there was no search
        pa.field(
            "verdicts_by_purpose", pa.string()
        ),  # JSON: the target's answers, by purpose and verdict; null where there were none
        pa.field(
            "replies_by_attempt", pa.string()
        ),  # JSON: the optimizer model's replies, by attempt and kind; null likewise
        pa.field("p_value", pa.float64()),  # of the verdict's test, two-sided
        pa.field(
            "corrected_verdict", pa.string()
        ),  # the verdict after Holm's correction for all tested trials of the experiment
        pa.field(
            "train_accuracy", pa.float64()
        ),  # of the best prompt, on the training items that the search tried it on
        pa.field("gap", pa.float64()),  # dev_accuracy less test_accuracy
        pa.field(
            "seed_prompt_test_marks", pa.string()
        ),  # a mark each test item: 1 right, 0 not, - no answer; null without a test
        pa.field("test_marks", pa.string()),
        pa.field(
            "trial", pa.string(), nullable=False
        ),  # names the trial as the files in best/ do, and as the other tables
        pa.field("error", pa.string()),  # one sentence; null for a trial that has not failed
        pa.field(
            "best_is_baseline", pa.bool_()
        ),  # no candidate was better on dev; null where the trial has no best prompt
        pa.field(
            "form_control", pa.string()
        ),  # measured, or why not; null without a test (see cluster/trial/form_control.py)
        pa.field(
            "form_control_test_accuracy", pa.float64()
        ),  # of the baseline with the answer line alone
        pa.field("form_control_test_marks", pa.string()),
        pa.field("form_control_verdict", pa.string()),  # of the best prompt against it
        pa.field("form_control_p_value", pa.float64()),
        pa.field(
            "corrected_form_control_verdict", pa.string()
        ),  # after the correction that corrected_verdict has
        pa.field(
            "test_interval_kind", pa.string()
        ),  # of test_low and test_high: Wilson, bootstrap; null without a test
        pa.field(
            "seed_prompt_test_values", pa.list_(pa.float64())
        ),  # the scores of the marks, where some are neither 0 nor 1; else null
        pa.field("test_values", pa.list_(pa.float64())),
        pa.field("form_control_test_values", pa.list_(pa.float64())),
        pa.field(
            "seed_prompt_test_macro_f1", pa.float64()
        ),  # the mean of the classes' F1; null where targets are no classes
        pa.field("test_macro_f1", pa.float64()),
        pa.field("grader_calls", pa.int64()),  # of a model that grades; 0 where none is called
    ]
)
"""A row a trial."""

COSTS: pa.Schema = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),
        pa.field("wall_s", pa.float64(), nullable=False),
        pa.field(
            "ledger_hits", pa.int64(), nullable=False
        ),  # calls that the ledger answered: paid for before, or by others
        pa.field(
            "money", pa.float64()
        ),  # of the other calls, in the currency of the prices; null where a model has none
        pa.field(
            "prefix_hit_rate", pa.float64()
        ),  # share of the target's prompt tokens; null where its engine does not tell
        pa.field(
            "repeats", pa.int64(), nullable=False
        ),  # requests whose answer the trial had already: they are no calls
    ]
)
"""A row a trial: what its last run cost.

A run that was continued finds in the ledger what the one before it has paid.
"""

FAILURES: pa.Schema = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),  # target or optimizer
        pa.field(
            "kind", pa.string(), nullable=False
        ),  # refused, infrastructure (no answer came), empty (it has no text)
        pa.field("calls", pa.int64(), nullable=False),
        pa.field(
            "reason", pa.string(), nullable=False
        ),  # as it was first worded; others may differ by numbers and ids
    ]
)
"""A row a trial and a reason for which calls had no usable answer, of its last run.

A run that is continued repeats the calls that failed.
"""

_MAPPINGS = ("settings", "verdicts_by_purpose", "replies_by_attempt")
_CORRECTED = ("corrected_verdict", "corrected_form_control_verdict")
"""Columns that depend on all trials of a report together."""
_EMPTY_IS_NULL = (
    "verdict",
    "seed_prompt_test_marks",
    "test_marks",
    "error",
    "form_control",
    "form_control_test_marks",
    "form_control_verdict",
    "test_interval_kind",
    "seed_prompt_test_values",
    "test_values",
    "form_control_test_values",
)

CANDIDATES: pa.Schema = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),  # names the trial as the files in best/ do
        pa.field("round", pa.int64(), nullable=False),  # in which it was proposed
        pa.field("candidate", pa.string(), nullable=False),  # its id
        pa.field("parent", pa.string()),  # the parent's id; null for a first prompt
        pa.field("operator", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),  # JSON, as Prompt.to_json gives it
        pa.field(
            "dev_accuracy", pa.float64()
        ),  # dev_accuracy, items and kept: from the last round that it competed in
        pa.field("items", pa.int64(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field(
            "incomplete", pa.bool_(), nullable=False
        ),  # the budget ended before it was measured on all dev items
    ]
)
"""A row a candidate of a trial, in the order in which they first competed."""


def trials_table(results: Sequence[TrialResult]) -> pa.Table:
    """Return one row a result, with the columns of TRIALS."""
    corrected, against_line = corrected_verdicts(results), corrected_against_control(results)
    rows = [
        _trial_row(result)
        | {
            "corrected_verdict": corrected.get(result.trial),
            "corrected_form_control_verdict": against_line.get(result.trial, (None,))[0],
        }
        for result in results
    ]
    return pa.Table.from_pylist(rows, schema=TRIALS)


def costs_table(results: Sequence[TrialResult]) -> pa.Table:
    """Return one row a result, with the columns of COSTS."""
    rows = [{name: getattr(result, name) for name in COSTS.names} for result in results]
    return pa.Table.from_pylist(
        [row | {"trial": storable(row["trial"])} for row in rows], schema=COSTS
    )


def failures_table(results: Sequence[TrialResult]) -> pa.Table:
    """Return one row for each distinct reason of a trial's failed calls, as FAILURES has it."""
    rows = [
        {"trial": result.trial, **asdict(failure)}
        for result in results
        for failure in result.failures
    ]
    stored = [
        {name: storable(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
        for row in rows
    ]
    return pa.Table.from_pylist(stored, schema=FAILURES)


def candidates_table(results: Sequence[TrialResult]) -> pa.Table:
    """Return one row for each candidate that competed in any round, as CANDIDATES has it."""
    rows = [
        _candidate_row(result, *entry) for result in results for entry in _fullest_standings(result)
    ]
    return pa.Table.from_pylist(rows, schema=CANDIDATES)


def _trial_row(result: TrialResult) -> dict[str, Any]:
    row = {name: getattr(result, name) for name in TRIALS.names if name not in _CORRECTED}
    row["best_is_baseline"] = None if result.best is None else row["best_is_baseline"]
    row |= {
        name: json.dumps(dict(row[name]), ensure_ascii=False) if row[name] else None
        for name in _MAPPINGS
    }
    stored = {
        name: storable(value) if isinstance(value, str) else value for name, value in row.items()
    }
    return stored | {name: stored[name] or None for name in _EMPTY_IS_NULL}


def _fullest_standings(result: TrialResult) -> Iterator[tuple[Candidate, Standing]]:
    """Return each candidate as first proposed, with its standing on the most items."""
    first: dict[str, Candidate] = {}
    fullest: dict[str, Standing] = {}
    for round in result.rounds:
        for standing in round.standings:
            first.setdefault(standing.candidate.id, standing.candidate)
            fullest[standing.candidate.id] = fuller(fullest.get(standing.candidate.id), standing)
    return ((candidate, fullest[id]) for id, candidate in first.items())


def _candidate_row(result: TrialResult, candidate: Candidate, standing: Standing) -> dict[str, Any]:
    return {
        "trial": storable(result.trial),
        "round": candidate.round,
        "candidate": candidate.id,
        "parent": candidate.parent,
        "operator": storable(candidate.operator),
        "prompt": storable(json.dumps(candidate.prompt.to_json(), ensure_ascii=False)),
        "dev_accuracy": standing.accuracy,
        "items": standing.items,
        "kept": standing.kept,
        "incomplete": standing.incomplete,
    }


def as_parquet(table: pa.Table) -> bytes:
    """Return the table as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())
