"""A job of any kind as its controller records it: what was filed, and how it stands.

Plain data with JSON both ways; knows no storage and no Ray.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from cluster.evaluation.summary import PromptSummary
from cluster.service.core.errors import Conflict
from cluster.service.schemas import (
    STORED,
    TERMINAL,
    Evaluation,
    EvaluationRequest,
    Fault,
    Job,
    JobStatus,
    Optimization,
    OptimizationRequest,
    PromptScore,
    Usage,
    kind_of,
)
from cluster.text.formatting import UNFINISHED, format_trial_counts
from cluster.trial.result import ENDED
from optimizer.errors import DataError, shortened
from serving.settings.validation import first_fault
from serving.storage.text import storable

DAMAGED = "damaged"
"""The error code of a job whose files cannot be read."""


@dataclass(frozen=True)
class Filed:
    """The record of a job as it was filed; it never changes."""

    id: str
    number: int
    """Jobs are counted from 1."""
    owner: str
    created_at: int
    request: OptimizationRequest | EvaluationRequest
    idempotency_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {**self.__dict__, "request": self.request.model_dump(mode="json")}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read a record, also one of an earlier version.

        Raises:
            DataError: It is no record of a job.
        """
        try:
            schema = request_schema(str(data["id"]))
            request = schema.model_validate(data["request"], context=STORED)
            filed = cls(**{**data, "request": request})
            checked: Self = _FILED.validate_python(filed.__dict__)
        except (TypeError, KeyError, ValueError) as problem:
            raise DataError(
                f"The record of a job cannot be read ({_first(problem)}); bring it back from a "
                "copy."
            ) from problem
        return checked


@dataclass(frozen=True)
class DamagedJob:
    """A job whose files cannot be read: it is shown, and nothing can be done with it."""

    id: str
    number: int
    owner: str
    """Empty if even that cannot be read; then only an admin sees the job."""
    name: str
    created_at: int
    reason: str
    request: OptimizationRequest | EvaluationRequest | None = None

    @property
    def answer(self) -> Job:
        """Return the job as the API shows it."""
        kind = Evaluation if kind_of(self.id) == "evaluation" else Optimization
        return kind(
            id=self.id,
            name=self.name or self.id,
            owner=self.owner,
            created_at=self.created_at,
            status="failed",
            request=self.request,
            error=Fault(code=DAMAGED, message=self.reason),
        )


@dataclass
class Spent:
    """The spending of one trial in the job's last run."""

    target_calls: int = 0
    optimizer_calls: int = 0
    ledger_hits: int = 0
    calls_by_purpose: dict[str, int] = field(default_factory=dict)
    money: float | None = None
    repeats: int = 0
    grader_calls: int = 0

    @property
    def paid(self) -> int:
        """Return the calls that were not answered by the ledger."""
        calls = self.target_calls + self.optimizer_calls + self.grader_calls
        return calls - self.ledger_hits


@dataclass
class State:
    """The state of a job, which changes while it runs."""

    status: JobStatus = "queued"
    started_at: int | None = None
    finished_at: int | None = None
    runs: int = 0
    resumes: int = 0
    place: int = 0
    """Its place in its owner's queue: lower is earlier."""
    turn: int = 0
    """Number of its last start, among the service's counted starts."""
    last_event: int = 0
    """The id of the last event when this was saved."""
    trials: int = 0
    status_by_trial: dict[str, str] = field(default_factory=dict)
    spent_by_trial: dict[str, Spent] = field(default_factory=dict)
    paused_by_trial: dict[str, str] = field(default_factory=dict)
    best_dev_accuracy: float | None = None
    best_dev_accuracy_by_task: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    """The seconds of all runs that are over."""
    fault: dict[str, str] | None = None
    hosted: list[str] = field(default_factory=list)
    """Deployments that run for this job, and perhaps for others, until it is over."""
    answers: int = 0
    """Answers of an evaluation so far."""
    answers_wanted: int = 0
    scores: list[PromptSummary] = field(default_factory=list)
    """The prompts of an evaluation that has ended."""
    passed: bool | None = None

    @property
    def over(self) -> bool:
        """Return whether the job has come to its end."""
        return self.status in TERMINAL

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read a state.

        Raises:
            DataError: It is no state of a job.
        """
        try:
            spent = {trial: Spent(**one) for trial, one in data["spent_by_trial"].items()}
            state = cls(**{**data, "spent_by_trial": spent})
            checked: Self = _STATE.validate_python(state.__dict__)
        except (TypeError, KeyError, AttributeError, ValueError) as problem:
            raise DataError(
                f"The state of a job cannot be read ({_first(problem)}); bring it back from a copy."
            ) from problem
        return checked

    def usage(self, running_s: float = 0.0) -> Usage:
        """Return what all trials have spent together.

        Args:
            running_s: Seconds of the current run.
        """
        spent = list(self.spent_by_trial.values())
        by_purpose: dict[str, int] = {}
        for one in spent:
            for purpose, calls in one.calls_by_purpose.items():
                by_purpose[purpose] = by_purpose.get(purpose, 0) + calls
        money = [one.money for one in spent if one.money is not None]
        return Usage(
            target_calls=sum(one.target_calls for one in spent),
            optimizer_calls=sum(one.optimizer_calls for one in spent),
            grader_calls=sum(one.grader_calls for one in spent),
            ledger_hits=sum(one.ledger_hits for one in spent),
            calls_by_purpose=by_purpose,
            repeats=sum(one.repeats for one in spent),
            money=sum(money) if money else None,
            wall_s=round(self.wall_s + running_s, 3),
        )


_REST_BY_JOB: dict[JobStatus, str] = {
    "cancelled": "cancelled",
    "failed": UNFINISHED,
    "succeeded": UNFINISHED,
}
_FILED, _STATE = TypeAdapter[Any](Filed), TypeAdapter[Any](State)


def job_answer(
    filed: Filed,
    state: State,
    last_event: int,
    position: int | None = None,
    in_flight: int | None = 0,
    running_s: float = 0.0,
) -> Job:
    """Return a job as the API shows it.

    Args:
        filed: What the job is.
        state: How it stands.
        last_event: The id of its last event.
        position: Its position in the queue; None if it does not wait.
        in_flight: Calls that are under way; None if unknown.
        running_s: Seconds of its current run.
    """
    of_any_kind: dict[str, Any] = {
        "id": filed.id,
        "name": filed.request.name,
        "owner": filed.owner,
        "created_at": filed.created_at,
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "status": state.status,
        "queue_position": position,
        "paused": next(iter(state.paused_by_trial.values()), ""),
        "request": filed.request,
        "in_flight": in_flight,
        "usage": state.usage(running_s),
        "error": Fault(**state.fault) if state.fault else None,
        "runs": state.runs,
        "last_event": last_event,
    }
    if isinstance(filed.request, EvaluationRequest):
        return Evaluation(
            **of_any_kind,
            answers=state.answers,
            answers_wanted=state.answers_wanted,
            scores=[
                PromptScore(**{**asdict(one), "prompt": storable(one.prompt)})
                for one in state.scores
            ],
            passed=state.passed,
        )
    ended = [status for status in state.status_by_trial.values() if status in (*ENDED, "failed")]
    return Optimization(
        **of_any_kind,
        trials=state.trials,
        trials_done=len(ended),
        trials_told=trials_of(state.status, state.status_by_trial.values(), state.trials),
        best_dev_accuracy=state.best_dev_accuracy,
        best_dev_accuracy_by_task={
            storable(task): accuracy for task, accuracy in state.best_dev_accuracy_by_task.items()
        },
    )


def trials_of(job: JobStatus, statuses: Iterable[str], trials: int) -> str:
    """Say how many of a job's trials have ended, and how.

    Trials that have not ended were cancelled with the job, or wait.

    Args:
        job: The status of the job.
        statuses: The statuses of the trials that are known.
        trials: How many trials the job has.
    """
    if not trials:
        return "no trial was started" if job in TERMINAL else "no trial was started yet"
    ended, rest = (*ENDED, "failed"), _REST_BY_JOB.get(job, "waiting")
    under_way = ("running",) if job in ("running", "cancelling") else ()
    return format_trial_counts(
        [status if status in (*ended, *under_way) else rest for status in statuses], trials, rest
    )


def expect_cancellable(id: str, status: JobStatus) -> None:
    """Refuse to cancel a job that is over.

    Raises:
        Conflict: The job is over.
    """
    if status in TERMINAL:
        raise Conflict(f"The job {id} is over ({status}); there is nothing to cancel.")


def expect_resumable(id: str, status: JobStatus) -> None:
    """Refuse to resume a job that is not failed or cancelled.

    Raises:
        Conflict: It has another status.
    """
    if status not in ("failed", "cancelled"):
        raise Conflict(
            f"The job {id} is {status}; only a failed or a cancelled job can be resumed."
        )


def request_schema(id: str) -> type[OptimizationRequest | EvaluationRequest]:
    """Return the schema of a job's request."""
    return EvaluationRequest if kind_of(id) == "evaluation" else OptimizationRequest


def _first(problem: Exception) -> str:
    """Say what is wrong, by the first of several faults."""
    if isinstance(problem, ValidationError):
        fault = first_fault(problem)
        return f"{fault.path}: {fault.text}"
    return shortened(f"{type(problem).__name__}: {problem}")
