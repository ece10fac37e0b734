"""The results folder: which files stand in it, and writing them so that a reader never sees half a file.

    OUT/
      trials.parquet       a row a trial          (columns.TRIALS)
      candidates.parquet   a row a candidate      (columns.CANDIDATES)
      report.html          the page for people    (page.py)
      best/TRIAL.json      the best prompt, for `promptray apply`
      best/TRIAL.md        the same for reading
      trials/TRIAL.json    all of a TrialResult, as each trial leaves it

`settings.yaml` stands beside them and is written by whoever starts the experiment. These names are an interface: keep them.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.report.columns import candidates_table, trials_table
from cluster.report.markdown import best_prompt_page
from cluster.report.page import report_page
from cluster.result import TrialResult
from optimizer.errors import DataError, StorageError


def write_results(out: Path, results: Sequence[TrialResult], settings: Mapping[str, Any]) -> Path:
    """Writes all that is made from `results`, over what an earlier run left there; returns the path of the page.

    `settings` is shown on the page as it is, so it must hold no secrets. Raises StorageError where `out` cannot be written.
    """
    for result in results:
        _write_best(out / "best", result)
    write_file(out / "trials.parquet", _parquet(trials_table(results)))
    write_file(out / "candidates.parquet", _parquet(candidates_table(results)))
    write_file(out / "report.html", report_page(results, settings))
    return out / "report.html"


def write_trial(out: Path, result: TrialResult) -> Path:
    """Writes `OUT/trials/TRIAL.json`. Raises StorageError."""
    return write_json(out / "trials" / _file_name(result, "json"), result.to_json())


def read_trials(out: Path) -> list[TrialResult]:
    """All results in `OUT/trials/`, by name. Raises DataError where a file is not a trial's result, StorageError if unreadable."""
    return [_read_trial(path) for path in sorted((out / "trials").glob("*.json"))]


def write_json(path: Path, value: Any) -> Path:
    """Writes indented JSON, atomically. Lone surrogates become JSON escapes, so that reading gives back an equal value."""
    return write_file(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_file(path: Path, content: str | bytes) -> Path:
    """Writes a file beside its place and renames it into it, making the folders above. Raises StorageError."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as problem:
        reason = problem.strerror or problem
        raise StorageError(f"{path} cannot be written ({reason}); name a folder that you may write to (--out).") from problem
    return path


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # mkstemp gives a file that only its owner may read
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _write_best(folder: Path, result: TrialResult) -> None:
    """A trial without a best prompt has no file: what an earlier run left under its name goes."""
    page, data = folder / _file_name(result, "md"), folder / _file_name(result, "json")
    if result.best is None:
        _remove(page)
        _remove(data)
        return
    write_json(data, _best(result))
    write_file(page, best_prompt_page(result))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise StorageError(f"{path} is of an earlier run and cannot be removed; name another folder (--out).") from problem


def _best(result: TrialResult) -> dict[str, Any]:
    """The best prompt under "prompt", and enough beside it to use it and to know where it comes from."""
    shown = (
        "trial", "task", "target", "scorer", "strategy", "selection", "seed", "optimizer", "stand_in", "status", "data_hash",
        "seed_prompt_test_accuracy", "test_accuracy", "test_low", "test_high", "test_items", "verdict", "dev_accuracy", "adherence")
    assert result.best is not None
    return {"prompt": result.best.prompt.to_json()} | {name: getattr(result, name) for name in shown}


def _file_name(result: TrialResult, ending: str) -> str:
    if Path(result.trial).name != result.trial or result.trial in {"", ".", ".."}:
        raise StorageError(f"The trial name {result.trial!r} cannot be a file name; rename its task or strategy label.")
    return f"{result.trial}.{ending}"


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def _read_trial(path: Path) -> TrialResult:
    try:
        return TrialResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise StorageError(f"{path} cannot be read: {problem.strerror}.") from problem
    except json.JSONDecodeError as problem:
        raise DataError(f"{path} is not JSON ({problem.msg}, line {problem.lineno}); run the experiment again.") from problem
