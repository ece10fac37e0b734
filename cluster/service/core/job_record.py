"""A job as its one controller sees it: what was filed, and how it stands.

Plain data with JSON both ways; knows no storage, no Ray.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, Self

from pydantic import TypeAdapter, ValidationError

from cluster.service.core.errors import Conflict
from cluster.service.schemas import (
    KEPT,
    TERMINAL,
    Fault,
    JobStatus,
    Optimization,
    OptimizationRequest,
    Usage,
)
from cluster.text.formatting import UNFINISHED
from cluster.text.formatting import trials_told as told
from cluster.trial.result import ENDED
from optimizer.errors import DataError, shortened
from serving.settings.validation import first_fault
from serving.storage.text import storable

DAMAGED = "damaged"
"""The code of the fault of a job whose files cannot be read."""


@dataclass(frozen=True)
class Filed:
    """What a job is, which never changes."""

    id: str
    number: int
    """Jobs are counted from 1."""
    owner: str
    created_at: int
    request: OptimizationRequest
    idempotency_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "request": self.request.model_dump(mode="json")}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises DataError."""
        try:
            filed = cls(
                **{
                    **data,
                    "request": OptimizationRequest.model_validate(data["request"], context=KEPT),
                }
            )
            checked: Self = _FILED.validate_python(filed.__dict__)
        except (TypeError, KeyError, ValueError) as problem:
            raise DataError(
                f"The record of a job cannot be read ({_first(problem)}); bring it back from a "
                "copy."
            ) from problem
        return checked


@dataclass(frozen=True)
class Work:
    """One run of a job."""

    filed: Filed
    run: int


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    kind: Literal["ended", "stopped", "failed"]
    failed: tuple[str, ...] = ()
    """Trials."""
    code: str = ""
    message: str = ""
    """Why it failed, or its trials."""
    statuses: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SetAside:
    """A job whose files cannot be read.

    It is shown to whom it belongs, and nothing can be done with it.
    """

    id: str
    number: int
    owner: str
    """"" where even that cannot be read: only an admin sees it then."""
    name: str
    created_at: int
    reason: str
    request: OptimizationRequest | None = None

    @property
    def shown(self) -> Optimization:
        """As the API gives it."""
        return Optimization(
            id=self.id,
            name=self.name or self.id,
            owner=self.owner,
            created_at=self.created_at,
            status="failed",
            request=self.request,
            error=Fault(code=DAMAGED, message=self.reason),
        )


class Lost(Exception):
    """The process that ran the job is gone."""


class WorkerPool(Protocol):
    """Who runs jobs, as many at once as are given to it."""

    async def run(self, work: Work) -> Outcome:
        """Raises Lost."""
        ...

    async def stop(self, job: str) -> None:
        """The run of this job ends soon; one that there is not is no fault."""
        ...

    async def kill(self, job: str) -> None:
        """The process that runs this job ends now, and its run with Lost; one that there is not is
        no fault.
        """
        ...

    async def on_cluster(self, deployments: Collection[str]) -> set[str]:
        """Those of some models that run on the cluster, whoever has hosted them."""
        ...

    async def release(self, deployments: Collection[str]) -> set[str]:
        """Takes models off the cluster, and says which are off it now; one that is being asked
        stays for the time being.
        """
        ...

    async def in_flight(self) -> Mapping[str, int] | None:
        """Job -> calls of models that are under way.

        A job of which that is not known is left out; None: of none it is, as a model
        does not say now.
        """
        ...


@dataclass
class Spent:
    """By one trial, in the run of the job that is the last."""

    target_calls: int = 0
    optimizer_calls: int = 0
    ledger_hits: int = 0
    calls_by_purpose: dict[str, int] = field(default_factory=dict)
    money: float | None = None
    repeats: int = 0

    @property
    def paid(self) -> int:
        return self.target_calls + self.optimizer_calls - self.ledger_hits


@dataclass
class State:
    """How a job stands."""

    status: JobStatus = "queued"
    started_at: int | None = None
    finished_at: int | None = None
    runs: int = 0
    resumes: int = 0
    place: int = 0
    """In its owner's line: lower is earlier."""
    turn: int = 0
    """When it was started last, in the service's counted starts."""
    last_event: int = 0
    """The last one when this was written."""
    trials: int = 0
    status_by_trial: dict[str, str] = field(default_factory=dict)
    spent_by_trial: dict[str, Spent] = field(default_factory=dict)
    paused_by_trial: dict[str, str] = field(default_factory=dict)
    best_dev_accuracy: float | None = None
    best_dev_accuracy_by_task: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    """Of the runs that are over."""
    fault: dict[str, str] | None = None
    hosted: list[str] = field(default_factory=list)
    """Deployments of models that run for this job's sake, and perhaps for others', until it is
    over.
    """

    @property
    def over(self) -> bool:
        return self.status in TERMINAL

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises DataError."""
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
        """Of all trials."""
        spent = list(self.spent_by_trial.values())
        by_purpose: dict[str, int] = {}
        for one in spent:
            for purpose, calls in one.calls_by_purpose.items():
                by_purpose[purpose] = by_purpose.get(purpose, 0) + calls
        money = [one.money for one in spent if one.money is not None]
        return Usage(
            target_calls=sum(one.target_calls for one in spent),
            optimizer_calls=sum(one.optimizer_calls for one in spent),
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


def shown(
    filed: Filed,
    state: State,
    last_event: int,
    position: int | None = None,
    in_flight: int | None = 0,
    running_s: float = 0.0,
) -> Optimization:
    """As the API gives it."""
    ended = [status for status in state.status_by_trial.values() if status in (*ENDED, "failed")]
    return Optimization(
        id=filed.id,
        name=filed.request.name,
        owner=filed.owner,
        created_at=filed.created_at,
        started_at=state.started_at,
        finished_at=state.finished_at,
        status=state.status,
        queue_position=position,
        paused=next(iter(state.paused_by_trial.values()), ""),
        request=filed.request,
        trials=state.trials,
        trials_done=len(ended),
        trials_told=trials_of(state.status, state.status_by_trial.values(), state.trials),
        in_flight=in_flight,
        usage=state.usage(running_s),
        best_dev_accuracy=state.best_dev_accuracy,
        best_dev_accuracy_by_task={
            storable(task): accuracy for task, accuracy in state.best_dev_accuracy_by_task.items()
        },
        error=Fault(**state.fault) if state.fault else None,
        runs=state.runs,
        last_event=last_event,
    )


def trials_of(job: JobStatus, statuses: Iterable[str], trials: int) -> str:
    """In words, how many of a job's trials have ended, and how.

    What has not ended was cancelled with the job, or waits.

    `statuses`: of those trials that are known of.
    """
    if not trials:
        return "no trial was started" if job in TERMINAL else "no trial was started yet"
    ended, rest = (*ENDED, "failed"), _REST_BY_JOB.get(job, "waiting")
    under_way = ("running",) if job in ("running", "cancelling") else ()
    return told(
        [status if status in (*ended, *under_way) else rest for status in statuses], trials, rest
    )


def expect_cancellable(id: str, status: JobStatus) -> None:
    """Raises Conflict."""
    if status in TERMINAL:
        raise Conflict(f"The job {id} is over ({status}); there is nothing to cancel.")


def expect_resumable(id: str, status: JobStatus) -> None:
    """Raises Conflict."""
    if status not in ("failed", "cancelled"):
        raise Conflict(
            f"The job {id} is {status}; only a failed or a cancelled job can be resumed."
        )


def _first(problem: Exception) -> str:
    """What is wrong, of the first of several faults."""
    if isinstance(problem, ValidationError):
        fault = first_fault(problem)
        return f"{fault.path}: {fault.text}"
    return shortened(f"{type(problem).__name__}: {problem}")
