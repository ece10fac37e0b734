"""An backend that shows finished results folders as jobs that are over: for `promptray show`, and
wherever no cluster is needed.

It reads, and changes nothing: what a job would need to be started, cancelled or resumed is answered
with a Conflict. Events are told from the results, as they would have come. Knows no HTTP and no
Ray.
"""

import hashlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.analysis.failures import errors_told
from cluster.analysis.winner import best_trials
from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import trial_specs
from cluster.experiment.prepare import SETTINGS_FILE, settings_place
from cluster.results.folder import read_trials, read_unfinished
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Conflict, Damaged
from cluster.service.core.job_record import SetAside, trials_of
from cluster.service.core.pagination import page_of, unknown_job
from cluster.service.read_models.candidates import Family
from cluster.service.read_models.results import Course
from cluster.service.read_models.settings import searched
from cluster.service.read_models.trials import Spent, total_usage, trial_view
from cluster.service.schemas import (
    ENDS,
    KEPT,
    Estimate,
    Event,
    EventKind,
    Fault,
    JobStatus,
    Optimization,
    OptimizationRequest,
    Page,
    TaskRequest,
    Usage,
)
from cluster.service.schemas.plain import MOST_KEY
from cluster.trial.result import ENDED, TrialResult
from optimizer.candidate import Round
from optimizer.errors import DataError, PromptrayError
from optimizer.statistics import wilson
from optimizer.tasks.generated import GENERATED
from serving.settings import parse_model
from serving.storage import Folder, open_folder
from serving.storage.local import LocalFolder
from serving.storage.text import storable

READ_ONLY = (
    "This service only shows finished results; a service that runs jobs is started with promptray "
    "up."
)
OWNER = "local"


@dataclass(frozen=True)
class Shown:
    """One results folder as a job."""

    job: Optimization
    settings: ExperimentSettings
    folder: Folder
    events: tuple[Event, ...]


class ArchiveBackend:
    """An Backend over results folders; each is read once, when the backend is made.

    One that cannot be read is shown as a job that has failed, with the reason. Raises StorageError
    for what is no results folder, and DataError or SettingsError where none of them can be read.
    """

    def __init__(self, places: Sequence[Folder | Path | str], owner: str = OWNER) -> None:
        shown: list[Shown] = []
        problems: list[PromptrayError] = []
        self._damaged: dict[str, Optimization] = {}
        for place in places:
            folder = open_folder(place).absolute()
            settings_place(folder)  # one that is no results folder is a slip of whoever named it
            try:
                shown.append(shown_folder(folder, owner))
            except Exception as problem:  # noqa: BLE001
                # Whatever is wrong with one folder, the others are shown.
                problems.append(_in_our_words(folder, problem))
                set_aside = SetAside(
                    job_id(folder), 0, owner, folder.place.rpartition("/")[2], 0, str(problems[-1])
                )
                self._damaged[set_aside.id] = set_aside.shown
        if problems and not shown:
            raise problems[0]
        self._shown = {
            one.job.id: one
            for one in sorted(shown, key=lambda one: one.job.created_at, reverse=True)
        }

    @property
    def damaged(self) -> list[str]:
        """Why folders cannot be shown, a sentence each."""
        return [job.error.message for job in self._damaged.values() if job.error]

    async def create(
        self, principal: Principal, request: OptimizationRequest, idempotency_key: str | None = None
    ) -> Optimization:
        raise Conflict(READ_ONLY)

    async def estimate(
        self, principal: Principal, request: OptimizationRequest, probe: bool
    ) -> Estimate:
        raise Conflict(READ_ONLY)

    async def get(self, principal: Principal, id: str) -> Optimization:
        if id in self._damaged and principal.may_see(self._damaged[id].owner):
            return self._damaged[id]
        return self._seen(principal, id).job

    async def page(
        self,
        principal: Principal,
        after: str | None,
        limit: int,
        status: str | None = None,
        owner: str | None = None,
    ) -> Page[Optimization]:
        jobs = [job for job in self._jobs if principal.may_see(job.owner)]
        return page_of([job for job in jobs if owner in (None, job.owner)], after, limit, status)

    @property
    def _jobs(self) -> list[Optimization]:
        """Finished ones, and those that cannot be shown."""
        return [*(one.job for one in self._shown.values()), *self._damaged.values()]

    async def cancel(self, principal: Principal, id: str) -> Optimization:
        self._seen(principal, id)
        raise Conflict(READ_ONLY)

    async def resume(self, principal: Principal, id: str) -> Optimization:
        self._seen(principal, id)
        raise Conflict(READ_ONLY)

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        return [event for event in self._seen(principal, id).events if event.id > after][:limit]

    async def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        for event in self._seen(principal, id).events:
            if event.id > after:
                yield event

    async def settings(self, principal: Principal, id: str) -> ExperimentSettings:
        return self._seen(principal, id).settings

    async def results(self, principal: Principal, id: str) -> Folder:
        return self._seen(principal, id).folder

    async def faults(self) -> list[str]:
        return []

    async def ping(self) -> None:
        """There is nobody else to ask."""

    async def quota(self, principal: Principal) -> Mapping[str, Any]:
        return {"jobs_now": 0, "calls_today": 0, "money_today": 0.0}

    def _seen(self, principal: Principal, id: str) -> Shown:
        aside = self._damaged.get(id)
        if aside and aside.error and principal.may_see(aside.owner):
            raise Damaged(aside.error.message)
        found = self._shown.get(id)
        if found is None or not principal.may_see(found.job.owner):
            raise unknown_job(id)
        return found


def shown_folder(folder: Folder, owner: str) -> Shown:
    """A results folder as a job that is over. Raises StorageError, DataError or SettingsError."""
    settings = ExperimentSettings.read(settings_place(folder))
    ended = read_trials(folder)
    known_of = {result.trial for result in ended}
    results = [*ended, *(left for left in read_unfinished(folder) if left.trial not in known_of)]
    at = _written_at(folder)
    id = job_id(folder)
    known = {trial_spec.trial: trial_spec for trial_spec in trial_specs(settings)}
    views = {
        result.trial: trial_view(
            settings, known[result.trial], Family(course), course, Spent(), "succeeded"
        )
        for result in results
        if result.trial in known and (course := Course(result.trial, result.rounds, result))
    }
    usage = total_usage(views)
    failed = [result for result in results if result.status == "failed"]
    status = _status(results, len(known))
    events = tuple(told(results, at, usage, _END_BY_STATUS[status]))
    job = Optimization(
        id=id,
        name=settings.name,
        owner=owner,
        created_at=at,
        started_at=at,
        finished_at=at + int(usage.wall_s),
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
        error=Fault(code="trial_failed", message=storable(" ".join(errors_told(failed))))
        if failed
        else None,
        runs=1,
        last_event=len(events),
    )
    return Shown(job, settings, folder, events)


_END_BY_STATUS: dict[JobStatus, EventKind] = {status: kind for kind, status in ENDS.items()}


def _status(results: Sequence[TrialResult], trials: int) -> JobStatus:
    """A run that was cut is shown like a job that was cancelled: neither has succeeded, and both
    can go on.
    """
    statuses = {result.status for result in results}
    if "failed" in statuses:
        return "failed"
    return "succeeded" if statuses <= ENDED and len(results) == trials else "cancelled"


def job_id(folder: Folder) -> str:
    """Of the job that a results folder is shown as."""
    return "opt-" + hashlib.sha256(folder.place.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _in_our_words(folder: Folder, problem: Exception) -> PromptrayError:
    if isinstance(problem, PromptrayError):
        return problem
    return DataError(
        f"The results in {folder} are damaged ({type(problem).__name__}: {problem}); bring them "
        "back from a copy."
    )


def request_of(settings: ExperimentSettings) -> OptimizationRequest:
    """The request that such an experiment would come from; of a data file only the name is told."""
    tasks = tuple(
        TaskRequest(
            **(
                {"generated": task.source}
                if task.source in GENERATED
                else {"file": Path(task.source).name[-MOST_KEY:]}
            ),
            label=task.label[:80],
            scorer=task.scorer,
            seed_instruction=task.seed_instruction,
            sizes=task.sizes,
        )
        for task in settings.tasks[:32]
    )
    given = {
        "name": settings.name[:64],
        "description": settings.description[:2000],
        "tasks": tasks,
        "target": parse_model(settings.target).label,
        "optimizer": parse_model(settings.optimizer).label,
        "strategies": [choice.model_dump() for choice in settings.strategies[:32]],
        "selection": settings.selection.model_dump(),
        "seeds": settings.seeds[:100],
        "sizes": settings.sizes,
        "sampling": settings.sampling,
        "budget": settings.budget,
        "search": searched(settings),
        "concurrency": min(64, settings.concurrency),
    }
    return OptimizationRequest.model_validate(given, context=KEPT)


_SAID_BY_END: dict[EventKind, str] = {
    "job.succeeded": "All trials have ended.",
    "job.failed": "A trial has failed.",
    "job.cancelled": "The run was ended before all trials had come to their end.",
}


def told(
    results: Sequence[TrialResult], at: int, usage: Usage, end: EventKind, guess_calls: bool = False
) -> Iterator[Event]:
    """The events of a job with these results, one trial after the other.

    What it had spent after a round no result tells;
    `guess_calls` shares its total out evenly, for a job that is only played.
    """
    number = 0

    def event(kind: EventKind, message: str, trial: str | None = None, **data: Any) -> Event:
        nonlocal number
        number += 1
        return Event(
            id=number, created_at=at, kind=kind, trial=trial, message=storable(message), data=data
        )

    yield event("job.queued", "The job waits for its turn.")
    yield event("job.started", "The job has started.")
    for result in results:
        yield event("trial.started", f"Trial {result.trial} has started.", result.trial)
        best: float | None = None
        for round in result.rounds:
            if not round.standings:
                continue
            said = round.note or f"Round {round.number} is done."
            yield event("trial.round", said, result.trial, **_round(result, round, guess_calls))
            accuracy = round.best.accuracy
            if accuracy is not None and best is not None and accuracy > best:
                yield event(
                    "trial.better",
                    f"A better prompt: {accuracy:.2f} on the dev split, {best:.2f} before.",
                    result.trial,
                    round=round.number,
                    dev_accuracy=accuracy,
                )
            best = accuracy if best is None else max(best, accuracy or 0.0)
        if result.status in (*ENDED, "failed"):
            yield _end(event, result)
    yield event(end, _SAID_BY_END[end], target_calls=usage.target_calls)


def _round(result: TrialResult, round: Round, guess_calls: bool) -> dict[str, Any]:
    best = round.best
    interval = (
        None
        if best.accuracy is None
        else wilson(min(best.items, best.accuracy * best.items), best.items)
    )
    spent: dict[str, int] = {}
    if guess_calls:
        share = min(1.0, (round.number + 1) / max(1, len(result.rounds)))
        spent = {
            name: int(getattr(result, name) * share)
            for name in ("target_calls", "optimizer_calls", "ledger_hits", "repeats")
        }
    return {
        "round": round.number,
        "dev_accuracy": best.accuracy,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "best": best.candidate.id,
        "candidates": len(round.standings),
        **spent,
    }


def _end(event: Any, result: TrialResult) -> Event:
    data = {
        name: getattr(result, name) for name in ("status", "test_accuracy", "test_low", "test_high")
    }
    data["verdict"] = result.told
    failed = result.status == "failed"
    said = result.error if failed else f"Trial {result.trial} has ended."
    ended: Event = event("trial.failed" if failed else "trial.finished", said, result.trial, **data)
    return ended


def _written_at(folder: Folder) -> int:
    """When its settings were written, where the file system tells."""
    if isinstance(folder, LocalFolder):
        return int((folder.path / SETTINGS_FILE).stat().st_mtime)
    return int(time.time())
