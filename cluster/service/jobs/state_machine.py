"""One job on the controller's state machine: its record, its state and its events, and what each
piece of news does to them.

Knows no queue, no process and no other job. For one event loop.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from cluster.service.core.job_record import Filed, Outcome, Spent, State
from cluster.service.jobs.event_log import EventLog
from cluster.service.jobs.run_updates import (
    Ended,
    Moved,
    Phase,
    Rounded,
    RunUpdates,
    Sized,
    Started,
    Warned,
)
from cluster.service.schemas import ENDS, EventKind, JobStatus
from optimizer.errors import shortened

LONGEST_FAULT = 2000
"""Characters of the reasons for which a job's trials have failed [ours]."""


class JobStateMachine:
    """A job. `paid` is called with the calls and the money that the news has added."""

    def __init__(
        self, filed: Filed, state: State, log: EventLog, paid: Callable[[str, int, float], None]
    ) -> None:
        self.filed = filed
        self.state = state
        self.log = log
        self._paid = paid
        self.began_at: float | None = None
        """The run that is under way, by time.monotonic."""
        self.dirty = False
        """Is there more than the storage knows?"""
        self.shown: JobStatus = state.status
        """The status that others see: the events that led to it are on storage."""
        self.out_of_quota = ""
        """Why its run ends early, where its owner's quota is used up."""
        self.steps = 0
        """Signs that its runs get on: rounds, and calls that were paid."""

    @property
    def running_s(self) -> float:
        return 0.0 if self.began_at is None else time.monotonic() - self.began_at

    def start(self, turn: int) -> None:
        state = self.state
        state.status = "running" if state.status == "queued" else state.status
        state.started_at = state.started_at or int(time.time())
        state.runs, state.turn, self.began_at = state.runs + 1, turn, time.monotonic()
        state.spent_by_trial, state.paused_by_trial = {}, {}
        self.out_of_quota = ""
        state.status_by_trial = {}
        self.log.add(
            "job.started", "The job has started." if state.resumes == 0 else "The job goes on."
        )

    def pause_clock(self) -> None:
        """A run is over."""
        self.state.wall_s += self.running_s
        self.began_at = None

    def cancel(self) -> None:
        """Of a job that waits, at once; of one that runs, when its run has stopped."""
        if self.state.status == "queued":
            self.end("cancelled", "job.cancelled", "The job was cancelled before it started.")
        elif self.state.status == "running":
            self.state.status = "cancelling"
            self.log.add(
                "job.cancelling", "The job is being cancelled; every finished call is kept."
            )

    def settle(self, outcome: Outcome) -> None:
        """A run has come to an end."""
        self.state.status_by_trial |= outcome.statuses
        if outcome.kind == "stopped":
            self.end(
                "cancelled",
                "job.cancelled",
                "The job was cancelled; every finished call is kept, so it can be resumed.",
            )
        elif outcome.kind == "failed":
            self.fail(outcome.code, outcome.message)
        elif outcome.failed:
            why = shortened(outcome.message, LONGEST_FAULT) or f"{outcome.failed[0]}."
            self.fail(
                "TrialsFailed",
                f"{len(outcome.failed)} of {self.state.trials} trials have failed: "
                f"{why}{self._why}",
            )
        else:
            self.end(
                "succeeded",
                "job.succeeded",
                f"All {self.state.trials} trials have ended.{self._why}",
            )

    @property
    def _why(self) -> str:
        return f" Their searches ended early: {self.out_of_quota}" if self.out_of_quota else ""

    def meet_quota(self, reason: str) -> None:
        """The owner's quota has refused the job something."""
        if not self.out_of_quota:
            self.out_of_quota, self.dirty = reason, True
            self.log.add(
                "budget.warning",
                f"The job ends on its owner's quota: {reason}",
                data={"limit": "quota", "share": 1.0},
            )

    def fail(self, code: str, message: str) -> None:
        self.state.fault = {"code": code, "message": message}
        self.end("failed", "job.failed", message)

    def break_off(self, reason: str) -> None:
        """Ends a job that cannot go on by a fault of the service itself, whatever else is broken:
        the state comes first.
        """
        self.state.fault = {"code": "InternalError", "message": reason}
        self.state.status, self.state.finished_at, self.state.paused_by_trial = (
            "failed",
            int(time.time()),
            {},
        )
        self.pause_clock()
        self.log.add("job.failed", reason)

    def end(self, status: Any, kind: EventKind, message: str) -> None:
        self.state.status, self.state.finished_at = status, int(time.time())
        self.state.paused_by_trial = {}
        self.log.add(kind, message)

    def resume(self, place: int) -> None:
        self.state.place = place
        self.state.status, self.state.finished_at, self.state.fault = "queued", None, None
        self.state.resumes += 1

    def say_resumed(self) -> None:
        self.log.add("job.resumed", "The job waits to go on.")

    def say_queued(self) -> None:
        self.log.add("job.queued", "The job waits for its turn.")

    @property
    def place(self) -> int:
        """In its owner's line."""
        return self.state.place or self.filed.number

    def mend(self) -> bool:
        """Brings state and events together after a crash between the two: the event that ends a job
        comes before its state, the
        event that resumes it comes after. Says whether there is something to save.
        """
        last = self.log.events[-1] if self.log.events else None
        if self.state.over:
            self.log.forget(self.state.last_event)
            return False
        elif last is None:
            self.say_queued()
        elif last.kind in ENDS:
            if last.id > self.state.last_event:
                self.state.status = ENDS[last.kind]
                self.state.finished_at = last.created_at
                if last.kind == "job.failed":
                    self.state.fault = self.state.fault or {
                        "code": "failed",
                        "message": last.message,
                    }
            else:
                self.say_resumed()
        elif self.state.status == "cancelling":
            self.end(
                "cancelled",
                "job.cancelled",
                "The job was cancelled; every finished call is kept, so it can be resumed.",
            )
        elif self.state.status == "running":
            self.state.status = "queued"
        return True

    def take(self, news: RunUpdates) -> None:
        """News of the run that is under way."""
        self.dirty = True
        match news:
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
                said = f"{trial} has used {share:.0%} of its {limit.replace('_', ' ')}: {used}."
                self.log.add("budget.warning", said, trial, {"limit": limit, "share": share})
            case Ended():
                self._trial_ended(news)

    def _trial_ended(self, news: Ended) -> None:
        self._spend(news.trial, news.spent)
        self.state.status_by_trial[news.trial] = news.status
        self.state.paused_by_trial.pop(news.trial, None)
        self._reached(news.dev_accuracy, news.task)
        if news.status == "failed":
            self.log.add(
                "trial.failed",
                f"{news.trial} has failed: {news.error}",
                news.trial,
                {"error": news.error},
            )
        elif news.status not in ("stopped", "cancelled"):
            self.log.add(
                "trial.finished",
                f"{news.trial} has ended{_tested(news.data)}.",
                news.trial,
                dict(news.data),
            )

    def _round(self, trial: str, data: Mapping[str, Any], better: bool) -> None:
        accuracy = data["dev_accuracy"]
        told = (
            "nothing could be measured" if accuracy is None else f"best dev accuracy {accuracy:.1%}"
        )
        if self.log.add(
            "trial.round", f"{trial}: round {data['round']}, {told}.", trial, dict(data)
        ):
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
        self.state.best_dev_accuracy = max(accuracy, self.state.best_dev_accuracy or 0.0)
        by_task = self.state.best_dev_accuracy_by_task
        if task:
            by_task[task] = max(accuracy, by_task.get(task, 0.0))

    def _pause(self, trial: str, paused: str) -> None:
        before = self.state.paused_by_trial.get(trial, "")
        if paused and not before:
            self.log.add("trial.paused", f"{trial} waits, as {paused}", trial)
        elif before and not paused:
            self.log.add("trial.resumed", f"{trial} goes on: the endpoint answers again.", trial)
        if paused:
            self.state.paused_by_trial[trial] = paused
        else:
            self.state.paused_by_trial.pop(trial, None)

    def _spend(self, trial: str, spent: Spent) -> None:
        before = self.state.spent_by_trial.get(trial, Spent())
        calls, money = (
            max(0, spent.paid - before.paid),
            max(0.0, (spent.money or 0.0) - (before.money or 0.0)),
        )
        self.state.spent_by_trial[trial] = spent
        self.steps += calls > 0
        if calls or money:
            self._paid(self.filed.owner, calls, money)


def _tested(data: Mapping[str, Any]) -> str:
    accuracy = data.get("test_accuracy")
    return "" if accuracy is None else f", test accuracy {accuracy:.1%}"
