"""One job of the controller: its record, state and events, and what each update does to them.

Knows no queue, no process and no other job. For one event loop.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from cluster.service.core.job_record import Filed, Spent, State
from cluster.service.core.worker_pool import Outcome
from cluster.service.jobs.event_log import EventLog
from cluster.service.jobs.run_updates import (
    Answered,
    Ended,
    Moved,
    Phase,
    Rounded,
    RunUpdate,
    Scored,
    Sized,
    Started,
    Warned,
)
from cluster.service.schemas import ENDS, EventKind, JobStatus
from cluster.text.formatting import plural
from optimizer.errors import shortened

LONGEST_FAULT = 2000
"""Characters of the reasons for which a job's trials have failed [ours]."""


class JobStateMachine:
    """A job with its state and its events."""

    def __init__(
        self, filed: Filed, state: State, log: EventLog, on_paid: Callable[[str, int, float], None]
    ) -> None:
        """Start from what is on storage.

        Args:
            filed: What the job is.
            state: How it stands.
            log: Its events.
            on_paid: Called with the owner, and the calls and the money that an update has added.
        """
        self.filed = filed
        self.state = state
        self.log = log
        self._on_paid = on_paid
        self.began_at: float | None = None
        """Start of the current run, by time.monotonic; None while none runs."""
        self.dirty = False
        """True if there is more to save than the storage has."""
        self.public_status: JobStatus = state.status
        """The status that others see: the events that led to it are on storage."""
        self.out_of_quota = ""
        """The reason why its run ends early, if its owner's quota is exhausted."""
        self.steps = 0
        """Signs of progress of its runs: rounds, and calls that were paid."""

    @property
    def running_s(self) -> float:
        """Return seconds since the current run began; 0.0 while none runs."""
        return 0.0 if self.began_at is None else time.monotonic() - self.began_at

    def start(self, turn: int) -> None:
        """Begin a run.

        Args:
            turn: The number of this start, in the service's counted starts.
        """
        state = self.state
        # A job that was cancelled while it was being started stays "cancelling".
        state.status = "running" if state.status == "queued" else state.status
        state.started_at = state.started_at or int(time.time())
        state.runs, state.turn, self.began_at = state.runs + 1, turn, time.monotonic()
        # A run reports what it has spent from 0 on; the events of earlier runs have theirs.
        state.spent_by_trial, state.paused_by_trial = {}, {}
        self.out_of_quota = ""
        state.status_by_trial = {}
        state.answers, state.scores, state.passed = 0, [], None
        self.log.add(
            "job.started", "The job has started." if state.resumes == 0 else "The job has resumed."
        )

    def pause_clock(self) -> None:
        """Add the time of the run that is over to the job's."""
        self.state.wall_s += self.running_s
        self.began_at = None

    def cancel(self) -> None:
        """Cancel the job: at once while it waits, else when its run has stopped."""
        # No process runs it: there is nothing to wait for.
        if self.state.status == "queued":
            self.end("cancelled", "job.cancelled", "The job was cancelled before it started.")
        elif self.state.status == "running":
            self.state.status = "cancelling"
            self.log.add(
                "job.cancelling", "The job is being cancelled; every finished call is recorded."
            )

    def settle(self, outcome: Outcome) -> None:
        """End the job as its run has ended."""
        # The last reports of a run may have been lost with its connection; its outcome has the
        # final statuses.
        self.state.status_by_trial |= outcome.statuses
        if outcome.kind == "stopped":
            self.end(
                "cancelled",
                "job.cancelled",
                "The job was cancelled; every finished call is recorded, so it can be resumed.",
            )
        elif outcome.kind == "failed":
            self.fail(outcome.code, outcome.message)
        # The run itself has ended well, but for some of its trials.
        elif outcome.failed:
            why = shortened(outcome.message, LONGEST_FAULT) or f"{outcome.failed[0]}."
            self.fail(
                "TrialsFailed",
                f"{len(outcome.failed)} of {self.state.trials} trials have failed: "
                f"{why}{self._why}",
            )
        else:
            done = outcome.message or f"Done ({plural(self.state.trials, 'trial')})."
            self.end("succeeded", "job.succeeded", f"{done}{self._why}")

    @property
    def _why(self) -> str:
        return f" Their searches ended early: {self.out_of_quota}" if self.out_of_quota else ""

    def exhaust_quota(self, reason: str) -> None:
        """Record that the owner's quota has refused the job something; once a run."""
        if not self.out_of_quota:
            self.out_of_quota, self.dirty = reason, True
            self.log.add(
                "budget.warning",
                f"The quota of the job's owner is exhausted: {reason}",
                data={"limit": "quota", "share": 1.0},
            )

    def fail(self, code: str, message: str) -> None:
        """End the job as failed."""
        self.state.fault = {"code": code, "message": message}
        self.end("failed", "job.failed", message)

    def break_off(self, reason: str) -> None:
        """Fail a job that cannot go on by a fault of the service itself, whatever else is broken.

        The state comes first: the events may be what is broken.
        """
        self.state.fault = {"code": "InternalError", "message": reason}
        self.state.status, self.state.finished_at, self.state.paused_by_trial = (
            "failed",
            int(time.time()),
            {},
        )
        self.pause_clock()
        # It may not become durable: then the state alone says how the job ended.
        self.log.add("job.failed", reason)

    def end(self, status: Any, kind: EventKind, message: str) -> None:
        """End the job with a status and its last event."""
        self.state.status, self.state.finished_at = status, int(time.time())
        self.state.paused_by_trial = {}
        self.log.add(kind, message)

    def resume(self, place: int) -> None:
        """Put the job into the queue again, at this place."""
        self.state.place = place
        self.state.status, self.state.finished_at, self.state.fault = "queued", None, None
        # The count is part of what identifies events, so that the job may start and fail again.
        self.state.resumes += 1

    def log_resumed(self) -> None:
        """Add the event that the job was resumed."""
        self.log.add("job.resumed", "Queued to resume.")

    def log_queued(self) -> None:
        """Add the event that the job is queued."""
        self.log.add("job.queued", "Queued.")

    @property
    def place(self) -> int:
        """Return its place in its owner's queue: lower is earlier."""
        return self.state.place or self.filed.number

    def repair(self) -> bool:
        """Make state and events agree after a crash between the two.

        The event that ends a job is written before its state, and the event that resumes it after
        it.

        Returns:
            Whether there is something to save.
        """
        last = self.log.events[-1] if self.log.events else None
        # Both agree already, since a state is saved as over only when its last event is durable.
        if self.state.over:
            self.log.forget(self.state.last_event)
            return False
        # The record was filed, and the process ended before the first event was written.
        elif last is None:
            self.log_queued()
        elif last.kind in ENDS:
            # The event is newer than the state: the job ended, and the state was not saved any
            # more.
            if last.id > self.state.last_event:
                self.state.status = ENDS[last.kind]
                self.state.finished_at = last.created_at
                if last.kind == "job.failed":
                    self.state.fault = self.state.fault or {
                        "code": "failed",
                        "message": last.message,
                    }
            else:
                self.log_resumed()
        # The process that ran it is gone with the controller: nobody else will end it.
        elif self.state.status == "cancelling":
            self.end(
                "cancelled",
                "job.cancelled",
                "The job was cancelled; every finished call is recorded, so it can be resumed.",
            )
        # The run is lost, and what it has paid for is in the ledger: it starts again.
        elif self.state.status == "running":
            self.state.status = "queued"
        return True

    def apply(self, update: RunUpdate) -> None:
        """Take in an update of the current run."""
        self.dirty = True
        match update:
            case Phase(text):
                self.log.add("job.phase", f"{text}.")
            case Sized(trials):
                self.state.trials = trials
            case Started(trial):
                self.state.status_by_trial[trial] = "running"
                self.log.add("trial.started", f"{trial} has started.", trial)
            case Moved(trial, spent, paused):
                self._spend(trial, spent)
                self._pause(trial, paused)
            case Rounded(trial, spent, data, better, task):
                self._spend(trial, spent)
                self._round(trial, data, better)
                self._reached(data["dev_accuracy"], task)
            case Warned(trial, limit, share, used):
                message = f"{trial} has used {share:.0%} of its {limit.replace('_', ' ')}: {used}."
                self.log.add("budget.warning", message, trial, {"limit": limit, "share": share})
            case Answered(answers, wanted):
                self.state.answers, self.state.answers_wanted = answers, wanted
            case Scored(prompts, passed):
                self.state.scores, self.state.passed = list(prompts), passed
            case Ended():
                self._trial_ended(update)

    def _trial_ended(self, update: Ended) -> None:
        self._spend(update.trial, update.spent)
        self.state.status_by_trial[update.trial] = update.status
        # An ended trial waits for nothing, whatever its last report said.
        self.state.paused_by_trial.pop(update.trial, None)
        self._reached(update.dev_accuracy, update.task)
        if update.status == "failed":
            self.log.add(
                "trial.failed",
                f"{update.trial} has failed: {update.error}",
                update.trial,
                {"error": update.error},
            )
        # A trial that was cut goes on in another run: that it has "finished" would be published
        # only once.
        elif update.status not in ("stopped", "cancelled"):
            accuracy = update.data.get("test_accuracy")
            tested = "" if accuracy is None else f", test accuracy {accuracy:.1%}"
            self.log.add(
                "trial.finished",
                f"{update.trial} has finished{tested}.",
                update.trial,
                dict(update.data),
            )

    def _round(self, trial: str, data: Mapping[str, Any], better: bool) -> None:
        accuracy = data["dev_accuracy"]
        result = (
            "nothing could be measured" if accuracy is None else f"best dev accuracy {accuracy:.1%}"
        )
        if self.log.add(
            "trial.round", f"{trial}: round {data['round']}, {result}.", trial, dict(data)
        ):
            # Only a new round is progress: a repeated run replays the old ones from the ledger.
            self.steps += 1
        if better:
            self.log.add(
                "trial.better",
                f"{trial}: a better prompt, dev accuracy {accuracy:.1%}.",
                trial,
                {name: data[name] for name in ("round", "dev_accuracy", "best")},
            )

    def _reached(self, accuracy: float | None, task: str) -> None:
        if accuracy is None:
            return
        # Never down: a repeated run begins with its first rounds again.
        self.state.best_dev_accuracy = max(accuracy, self.state.best_dev_accuracy or 0.0)
        by_task = self.state.best_dev_accuracy_by_task
        if task:
            by_task[task] = max(accuracy, by_task.get(task, 0.0))

    def _pause(self, trial: str, paused: str) -> None:
        before = self.state.paused_by_trial.get(trial, "")
        if paused and not before:
            self.log.add("trial.paused", f"{trial} is paused: {paused}", trial)
        elif before and not paused:
            self.log.add(
                "trial.resumed", f"{trial} has resumed: the endpoint answers again.", trial
            )
        if paused:
            self.state.paused_by_trial[trial] = paused
        else:
            self.state.paused_by_trial.pop(trial, None)

    def _spend(self, trial: str, spent: Spent) -> None:
        before = self.state.spent_by_trial.get(trial, Spent())
        calls, money = (
            # Reports may arrive late and out of order across two runs: spending never goes back.
            max(0, spent.paid - before.paid),
            max(0.0, (spent.money or 0.0) - (before.money or 0.0)),
        )
        self.state.spent_by_trial[trial] = spent
        self.steps += calls > 0
        if calls or money:
            self._on_paid(self.filed.owner, calls, money)
