"""Reads the results folder of an evaluation as a job that is over."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from cluster.config.grader import shown_grader
from cluster.evaluation.settings import SUMMARY_FILE, EvaluationSettings
from cluster.experiment.prepare import settings_place
from cluster.service.backends.archived_job import ArchivedJob
from cluster.service.schemas import (
    EVALUATION_ID,
    STORED,
    Evaluation,
    EvaluationRequest,
    EvaluationSummary,
    Event,
    JobStatus,
    Usage,
)
from cluster.service.schemas.evaluations import MOST_PROMPTS
from cluster.service.schemas.plain import MOST_KEY
from optimizer.errors import DataError
from serving.settings.validation import read_mapping
from serving.storage import Folder
from serving.storage.text import storable


def holds_evaluation(folder: Folder) -> bool:
    """Return whether a results folder is that of an evaluation.

    Raises:
        StorageError: The folder holds no results.
        SettingsError: The settings cannot be read.
    """
    settings = read_mapping(settings_place(folder))
    return "prompts" in settings and "strategies" not in settings


def read_archived_evaluation(folder: Folder, owner: str) -> ArchivedJob:
    """Read a results folder as an evaluation that is over; one without a summary was cut.

    Args:
        folder: The results folder.
        owner: The owner that the job is shown under.

    Raises:
        StorageError: The folder holds no results.
        DataError: The summary cannot be read.
        SettingsError: The settings cannot be read.
    """
    settings = EvaluationSettings.view(settings_place(folder))
    summary = _summary(folder)
    status: JobStatus = "succeeded" if summary else "cancelled"
    now = int(time.time())
    kinds: dict[JobStatus, Any] = {"succeeded": "job.succeeded", "cancelled": "job.cancelled"}
    messages = {"succeeded": "Done.", "cancelled": "The run was ended before its end."}
    events = tuple(
        Event(id=id, created_at=now, kind=kind, message=message)
        for id, (kind, message) in enumerate(
            [
                ("job.queued", "Queued."),
                ("job.started", "The job has started."),
                (kinds[status], messages[status]),
            ],
            1,
        )
    )
    job = Evaluation(
        id=evaluation_id(folder),
        name=settings.name,
        owner=owner,
        created_at=now,
        started_at=now,
        finished_at=now,
        status=status,
        request=_request_of(settings),
        usage=Usage(target_calls=summary.calls, ledger_hits=summary.cached, money=summary.money)
        if summary
        else Usage(),
        answers=sum(one.items for one in summary.prompts) if summary else 0,
        answers_wanted=summary.items * len(summary.prompts) if summary else 0,
        scores=summary.prompts if summary else [],
        passed=summary.passed if summary else None,
        runs=1,
        last_event=len(events),
    )
    return ArchivedJob(job, None, folder, events)


def evaluation_id(folder: Folder) -> str:
    """Return the id of the job that a results folder is shown as; the same at every start."""
    place = folder.place.encode("utf-8", "surrogateescape")
    return EVALUATION_ID + hashlib.sha256(place).hexdigest()[:16]


def _summary(folder: Folder) -> EvaluationSummary | None:
    if not folder.exists(SUMMARY_FILE):
        return None
    try:
        return EvaluationSummary.model_validate(json.loads(folder.read(SUMMARY_FILE)))
    except (ValueError, RecursionError) as problem:
        raise DataError(
            f"{folder.place_of(SUMMARY_FILE)} is none of our files; bring it back from a copy."
        ) from problem


def _request_of(settings: EvaluationSettings) -> EvaluationRequest:
    """Return the request that would give this evaluation, with the data's name for its path."""
    given = {
        "name": settings.name[:64],
        "prompts": [
            {"label": storable(one.label[:80]), "prompt": one.prompt}
            for one in settings.prompts[:MOST_PROMPTS]
        ],
        "file": Path(settings.task.source).name[-MOST_KEY:],
        "columns": settings.task.columns,
        "grader": shown_grader(settings.task.scorer),
        "target": settings.target_model.label,
        "sampling": settings.sampling,
        "budget": settings.budget,
        "min": settings.least_score,
    }
    return EvaluationRequest.model_validate(given, context=STORED)
