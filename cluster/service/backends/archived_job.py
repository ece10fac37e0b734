"""Reads a results folder as a job that is over: its record, its request and its events."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.analysis.failures import error_lines
from cluster.analysis.winner import best_trials
from cluster.config.component_spec import ComponentSpec
from cluster.config.experiment import ExperimentSettings
from cluster.config.grader import shown_grader
from cluster.config.task import TaskSettings
from cluster.experiment.planning import TrialSpec, trial_specs
from cluster.experiment.prepare import SETTINGS_FILE, settings_place
from cluster.results.folder import read_trials, read_unfinished
from cluster.service.backends.archived_events import events_of_results
from cluster.service.core.job_record import trials_of
from cluster.service.read_models.candidates import TrialCandidates
from cluster.service.read_models.results import TrialHistory
from cluster.service.read_models.settings import searched
from cluster.service.read_models.trials import Spent, total_usage, trial_view
from cluster.service.schemas import (
    ENDS,
    STORED,
    Event,
    EventKind,
    Fault,
    Job,
    JobStatus,
    Optimization,
    OptimizationRequest,
    TaskRequest,
    Trial,
)
from cluster.service.schemas.jobs import MOST_BASELINE, MOST_KEPT, MOST_OLDER_BASELINE
from cluster.service.schemas.plain import MOST_KEY
from cluster.trial.result import ENDED, TrialResult
from optimizer.registry import short_name
from optimizer.tasks.imported import is_file
from serving.settings import parse_model
from serving.storage import Folder
from serving.storage.local import LocalFolder
from serving.storage.text import storable

_END_BY_STATUS: dict[JobStatus, EventKind] = {status: kind for kind, status in ENDS.items()}


@dataclass(frozen=True)
class ArchivedJob:
    """One results folder as a job."""

    job: Job
    settings: ExperimentSettings | None
    """None for an evaluation."""
    folder: Folder
    events: tuple[Event, ...]


def read_archived_job(folder: Folder, owner: str) -> ArchivedJob:
    """Read a results folder as a job that is over.

    Args:
        folder: The results folder of a run, finished or cut.
        owner: The owner that the job is shown under.

    Raises:
        StorageError: The folder holds no results.
        DataError: A result cannot be read.
        SettingsError: The settings cannot be read.
    """
    settings = ExperimentSettings.view(settings_place(folder))
    results = _results(folder)
    written_at = _written_at(folder)
    known = {trial_spec.trial: trial_spec for trial_spec in trial_specs(settings)}
    usage = total_usage(_trial_views(settings, known, results))
    failed = [result for result in results if result.status == "failed"]
    status = _status(results, len(known))
    events = tuple(events_of_results(results, written_at, usage, _END_BY_STATUS[status]))
    job = Optimization(
        id=job_id(folder),
        name=settings.name,
        owner=owner,
        created_at=written_at,
        started_at=written_at,
        finished_at=written_at + int(usage.wall_s),
        status=status,
        request=request_of(settings),
        trials=len(known),
        trials_done=sum(result.status in (*ENDED, "failed") for result in results),
        trials_told=trials_of(status, [result.status for result in results], len(known)),
        usage=usage,
        best_dev_accuracy=max(
            (one.dev_accuracy for one in results if one.dev_accuracy is not None), default=None
        ),
        best_dev_accuracy_by_task={
            storable(task): one.dev_accuracy
            for task, one in best_trials(results).items()
            if one.dev_accuracy is not None
        },
        error=Fault(code="trial_failed", message=storable(" ".join(error_lines(failed))))
        if failed
        else None,
        runs=1,
        last_event=len(events),
    )
    return ArchivedJob(job, settings, folder, events)


def job_id(folder: Folder) -> str:
    """Return the id of the job that a results folder is shown as; the same at every start."""
    return "opt-" + hashlib.sha256(folder.place.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _grader_of(task: TaskSettings) -> dict[str, Any]:
    """Return the grader; a bare name is under the older name of the setting."""
    shown = shown_grader(task.scorer)
    return {"grader": shown} if isinstance(shown, dict) else {"scorer": shown}


def _baseline_of(task: TaskSettings) -> dict[str, Any]:
    """Return the baseline and its kept parts; one that the older name can hold is under it."""
    text = task.baseline_text
    if text is None or (len(text) <= MOST_OLDER_BASELINE and not task.keep):
        return {"seed_instruction": text}
    return {"baseline": text[:MOST_BASELINE], "keep": task.keep[:MOST_KEPT]}


def request_of(settings: ExperimentSettings) -> OptimizationRequest:
    """Return the request that would give this experiment.

    Of the path of a data file only the name is shown, and what is longer than a request allows is
    cut off.
    """
    tasks = tuple(
        TaskRequest(
            **(
                {"file": Path(task.source).name[-MOST_KEY:]}
                if is_file(task.source)
                else {"generated": task.source[-MOST_KEY:]}
            ),
            label=task.label[:80],
            **_grader_of(task),
            **_baseline_of(task),
            sizes=task.sizes,
            columns=task.columns,
            description=task.description,
            **{
                setting: Path(path).name[-MOST_KEY:]
                for setting, path in task.files.items()
                if setting != "source"
            },
        )
        for task in settings.tasks[:32]
    )
    given = {
        "name": settings.name[:64],
        "description": settings.description[:2000],
        "tasks": tasks,
        "target": parse_model(settings.target).label,
        "optimizer": parse_model(settings.optimizer).label,
        "strategies": [_requested(choice) for choice in settings.strategies[:32]],
        "selection": _requested(settings.selection),
        "seeds": settings.seeds[:100],
        "sizes": settings.sizes,
        "sampling": settings.sampling,
        "budget": settings.budget,
        "search": searched(settings),
        "concurrency": min(64, settings.concurrency),
    }
    return OptimizationRequest.model_validate(given, context=STORED)


def _requested(choice: ComponentSpec) -> dict[str, Any]:
    """Return a choice as a request has it: of one that comes from elsewhere the short name."""
    return choice.model_dump() | {"name": short_name(choice.name)}


def _results(folder: Folder) -> list[TrialResult]:
    """Return the results of the ended trials, then what cut trials have left."""
    ended = read_trials(folder)
    names = {result.trial for result in ended}
    return [*ended, *(left for left in read_unfinished(folder) if left.trial not in names)]


def _trial_views(
    settings: ExperimentSettings, known: Mapping[str, TrialSpec], results: Sequence[TrialResult]
) -> dict[str, Trial]:
    histories = [TrialHistory(one.trial, one.rounds, one) for one in results if one.trial in known]
    return {
        history.trial: trial_view(
            settings, known[history.trial], TrialCandidates(history), history, Spent(), "succeeded"
        )
        for history in histories
    }


def _status(results: Sequence[TrialResult], trials: int) -> JobStatus:
    """Return the status of the job.

    A run that was cut counts as cancelled: neither has succeeded, and both can be resumed.
    """
    statuses = {result.status for result in results}
    if "failed" in statuses:
        return "failed"
    return "succeeded" if statuses <= ENDED and len(results) == trials else "cancelled"


def _written_at(folder: Folder) -> int:
    """Return when the settings were written, or now where the file system does not say."""
    if isinstance(folder, LocalFolder):
        return int((folder.path / SETTINGS_FILE).stat().st_mtime)
    return int(time.time())
