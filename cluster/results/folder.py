"""The files of a results folder, written and read.

The folder's place, and how a file gets there whole, is up to serving.storage.

    OUT/
      trials.parquet       a row a trial          (tables.TRIALS)
      candidates.parquet   a row a candidate      (tables.CANDIDATES)
      costs.parquet        a row a trial          (tables.COSTS)
      failures.parquet     a row a reason         (tables.FAILURES)
      items.parquet        a row an answer of the final tests  (items.ITEMS)
      classes.parquet      a row a class          (class_tables.CLASSES), where targets are classes
      confusion.parquet    a row a target and its answer (class_tables.CONFUSION), likewise
      report.html          the page for people    (page.py)
      best/TRIAL.json      the best prompt, for `promptray apply`
      best/TRIAL.md        the same for reading
      trials/TRIAL.json    all of a TrialResult, as each trial leaves it
      items/TRIAL.parquet  the items of one trial, as it leaves them
      unfinished/TRIAL.json  the same of a trial that is under way, as of its last round; gone when
                             the trial has ended

`settings.yaml` stands beside them and is written by whoever starts the experiment; for `decisions/`
of a search see cluster/experiment/search_journal.py. These names are an interface: keep them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.results.class_tables import classes_table, confusion_table
from cluster.results.items import ITEMS_FILE, joined_items
from cluster.results.markdown import best_prompt_page
from cluster.results.page import report_page
from cluster.results.tables import (
    as_parquet,
    candidates_table,
    costs_table,
    failures_table,
    trials_table,
)
from cluster.trial.result import TrialResult
from optimizer.errors import DataError, PromptrayError, StorageError
from serving.storage import Folder, open_folder
from serving.storage.text import storable_bytes

Place = Folder | Path | str
REPORT_FILE = "report.html"
UNFINISHED = "unfinished"


def write_results(
    out: Place,
    results: Sequence[TrialResult],
    settings: Mapping[str, Any],
    carried: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Write everything that is made from `results`, over what an earlier run left there.

    Args:
        out: The results folder.
        results: All trials of the experiment.
        settings: Shown on the page as they are, so they must hold no secrets.
        carried: Label of a task -> what its best prompts carry of the settings, so that they work
            wherever they are moved; no secrets either.

    Returns:
        The place of the report page.

    Raises:
        StorageError: `out` cannot be written.
    """
    folder = open_folder(out)
    for result in results:
        _write_best(folder / "best", result, (carried or {}).get(result.task, {}))
    _write(folder, "trials.parquet", as_parquet(trials_table(results)))
    _write(folder, "candidates.parquet", as_parquet(candidates_table(results)))
    _write(folder, "costs.parquet", as_parquet(costs_table(results)))
    _write(folder, "failures.parquet", as_parquet(failures_table(results)))
    _write(folder, ITEMS_FILE, joined_items(folder, results))
    for name, table in (
        ("classes.parquet", classes_table(results)),
        ("confusion.parquet", confusion_table(results)),
    ):
        if len(table):
            _write(folder, name, as_parquet(table))
        else:
            folder.delete(name)
    _write(folder, REPORT_FILE, report_page(results, settings))
    return folder.place_of(REPORT_FILE)


def write_trial(out: Place, result: TrialResult) -> None:
    """Write `OUT/trials/TRIAL.json`.

    Raises:
        StorageError: `out` cannot be written.
    """
    _write(open_folder(out) / "trials", _file_name(result, "json"), _json(result.to_json()))


def clear_trials(out: Place) -> None:
    """Delete `OUT/trials/*.json` of an earlier run, which would be taken for this one's.

    Raises:
        StorageError: A file cannot be deleted.
    """
    folder = open_folder(out) / "trials"
    for name in folder.names(".json"):
        folder.delete(name)


def read_trials(out: Place) -> list[TrialResult]:
    """Return all results in `OUT/trials/`, by name.

    Raises:
        DataError: A file is not a trial's result.
        StorageError: The folder cannot be read.
    """
    folder = open_folder(out) / "trials"
    return [_read_trial(folder, name) for name in folder.names(".json")]


def write_unfinished(out: Place, result: TrialResult) -> None:
    """Write `OUT/unfinished/TRIAL.json`.

    Raises:
        StorageError: `out` cannot be written.
    """
    _write(open_folder(out) / UNFINISHED, _file_name(result, "json"), _json(result.to_json()))


def clear_unfinished(out: Place, trial: str) -> None:
    """Delete what `write_unfinished` has left of a trial.

    Raises:
        StorageError: The file cannot be deleted.
    """
    (open_folder(out) / UNFINISHED).delete(f"{trial}.json")


def read_unfinished(out: Place) -> list[TrialResult]:
    """Return all results in `OUT/unfinished/`, by name.

    Where no run is under way, these are what a killed run has left. A file that is not a result is
    ignored.

    Raises:
        StorageError: The folder cannot be read.
    """
    folder = open_folder(out) / UNFINISHED
    found = (_read_if_ours(folder, name) for name in folder.names(".json"))
    return [result for result in found if result is not None]


def trial_if_read(out: Place, trial: str) -> TrialResult | None:
    """Return the result in `OUT/trials/`, else in `OUT/unfinished/`, else None.

    A file that is not a result is ignored.

    Raises:
        StorageError: The folder cannot be read.
    """
    name = f"{trial}.json"
    for folder in (open_folder(out) / "trials", open_folder(out) / UNFINISHED):
        if folder.exists(name) and (found := _read_if_ours(folder, name)):
            return found
    return None


def _write(folder: Folder, name: str, content: str | bytes) -> None:
    data = storable_bytes(content) if isinstance(content, str) else content
    try:
        folder.write(name, data)
    except StorageError as problem:
        raise StorageError(
            f"{str(problem).rstrip('.')}; name a folder that you may write to (--out)."
        ) from problem


def _json(value: Any) -> str:
    """Return indented JSON.

    Where it is written, lone surrogates become JSON escapes, so that reading gives back an equal
    value.
    """
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _write_best(folder: Folder, result: TrialResult, carried: Mapping[str, Any]) -> None:
    """Write a trial's best prompt; without one, delete what an earlier run left under its name."""
    page, data = _file_name(result, "md"), _file_name(result, "json")
    if result.best is None:
        folder.delete(page)
        folder.delete(data)
        return
    _write(folder, data, _json(_best(result) | dict(carried)))
    _write(folder, page, best_prompt_page(result))


def _best(result: TrialResult) -> dict[str, Any]:
    """Return the best prompt under "prompt", with what is needed to use it and to trace it."""
    shown = (
        "trial",
        "task",
        "target",
        "scorer",
        "strategy",
        "selection",
        "seed",
        "optimizer",
        "stand_in",
        "status",
        "data_hash",
        "seed_prompt_test_accuracy",
        "test_accuracy",
        "test_low",
        "test_high",
        "test_interval_kind",
        "test_items",
        "verdict",
        "dev_accuracy",
        "adherence",
        "best_is_baseline",
        "form_control",
        "form_control_test_accuracy",
        "form_control_verdict",
    )
    assert result.best is not None
    return {"prompt": result.best.prompt.to_json()} | {
        name: getattr(result, name) for name in shown
    }


def _file_name(result: TrialResult, ending: str) -> str:
    if Path(result.trial).name != result.trial or result.trial in {"", ".", ".."}:
        raise StorageError(
            f"The trial name {result.trial!r} cannot be a file name; rename its task or strategy "
            "label."
        )
    return f"{result.trial}.{ending}"


def _read_trial(folder: Folder, name: str) -> TrialResult:
    try:
        return TrialResult.from_json(json.loads(folder.read(name)))
    except ValueError as problem:
        if isinstance(problem, PromptrayError):
            raise
        raise DataError(
            f"{folder.place_of(name)} is not JSON ({problem}); run the experiment again."
        ) from problem


def _read_if_ours(folder: Folder, name: str) -> TrialResult | None:
    try:
        return _read_trial(folder, name)
    except DataError:
        return None
