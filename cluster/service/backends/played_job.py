"""One job of the replay backend: its state, and what each replayed event does to it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.results.folder import REPORT_FILE
from cluster.service.backends.played_folder import PlayedFolder
from cluster.service.core.job_record import trials_of
from cluster.service.schemas import TERMINAL, Event, EventKind, JobStatus, Optimization, Usage
from serving.runtime.wakeup import Wakeup

_WRITTEN_AT_THE_END = (
    "trials.parquet",
    "candidates.parquet",
    "costs.parquet",
    "failures.parquet",
    "classes.parquet",
    "confusion.parquet",
    REPORT_FILE,
)

Step = tuple[Event, tuple[str, bytes] | None]
"""An event, and the name and content of the file that is written with it."""


@dataclass
class PlayedJob:
    """A job that replays the events of a finished results folder; for one event loop."""

    job: Optimization
    owner: str
    key: str | None
    """The idempotency key that it was created with."""
    folder: PlayedFolder
    script: list[Step]
    """The steps that have not been played yet."""
    task_by_trial: Mapping[str, str]
    events: list[Event] = field(default_factory=list)
    changed: Wakeup = field(default_factory=Wakeup)
    running: "asyncio.Task[None] | None" = None

    @property
    def over(self) -> bool:
        """Return whether the job has come to its end."""
        return self.job.status in TERMINAL

    def start(self) -> None:
        """Count a run, and take the job off the queue."""
        self.job = self.job.model_copy(update={"runs": self.job.runs + 1, "queue_position": None})

    def play_next(self) -> None:
        """Play the next step of the script: its file first, then its event."""
        event, file = self.script.pop(0)
        if file is not None:
            self.folder.write(*file)
        if event.kind == "job.succeeded":
            # The tables and the report, which a run writes at its end.
            source = self.folder.source
            for name in filter(source.exists, _WRITTEN_AT_THE_END):
                self.folder.write(name, source.read(name))
        self.publish(
            event.kind,
            event.message,
            _STATUS_BY_KIND.get(event.kind, "running"),
            event.trial,
            event.data,
        )

    def publish(
        self,
        kind: EventKind,
        message: str,
        status: JobStatus,
        trial: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an event, update the job by it, and wake all who follow the job.

        Args:
            kind: The kind of the event.
            message: One sentence for people.
            status: The status of the job from now on.
            trial: The trial that the event is about, if it is about one.
            data: The fields of the event; see schemas.Event.
        """
        fields = dict(data or {})
        event = Event(
            id=len(self.events) + 1,
            created_at=int(time.time()),
            kind=kind,
            trial=trial,
            message=message,
            data=fields,
        )
        self.events.append(event)
        self.job = self.job.model_copy(update=self._changes(event, status))
        self.changed.wake()

    def _changes(self, event: Event, status: JobStatus) -> dict[str, object]:
        job, data = self.job, event.data
        accuracy = data.get("dev_accuracy")
        best = [one for one in (job.best_dev_accuracy, accuracy) if isinstance(one, float)]
        spent = {
            name: data.get(name, 0)
            for name in ("target_calls", "optimizer_calls", "ledger_hits", "repeats")
        }
        has_spent = isinstance(data.get("optimizer_calls"), int)
        return {
            "status": status,
            "last_event": event.id,
            "started_at": job.started_at or (event.created_at if status == "running" else None),
            "finished_at": event.created_at if status in TERMINAL else None,
            "in_flight": 8 if status == "running" else 0,
            "trials_done": job.trials_done + (event.kind in ("trial.finished", "trial.failed")),
            "trials_told": trials_of(status, _status_by_trial(self.events).values(), job.trials),
            "usage": Usage(**spent) if has_spent else job.usage,
            "best_dev_accuracy": max(best, default=None),
            "best_dev_accuracy_by_task": self._best_by_task(event.trial, accuracy),
            "queue_position": 1 if status == "queued" else None,
        }

    def _best_by_task(self, trial: str | None, accuracy: object) -> dict[str, float]:
        by_task = dict(self.job.best_dev_accuracy_by_task)
        task = self.task_by_trial.get(trial) if trial is not None else None
        if task is not None and isinstance(accuracy, float):
            by_task[task] = max(accuracy, by_task.get(task, 0.0))
        return by_task


_STATUS_BY_KIND: dict[EventKind, JobStatus] = {
    "job.queued": "queued",
    "job.succeeded": "succeeded",
}


def _status_by_trial(events: Sequence[Event]) -> dict[str, str]:
    """Return the status of each trial after these events."""
    found: dict[str, str] = {}
    for event in events:
        if event.trial is not None:
            ended = event.kind in ("trial.finished", "trial.failed")
            found[event.trial] = str(event.data.get("status", "failed")) if ended else "running"
    return found
