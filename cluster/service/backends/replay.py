"""An backend whose jobs run nothing: each plays the course of a finished results folder anew, event
by event, whatever is asked.

For trying the page and the clients without models: a job waits, starts, finishes rounds, can be
cancelled and resumed, and its results folder fills as that of a running job does. Keeps its jobs in
memory alone. Knows no HTTP and no Ray.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from cluster.config.experiment import ExperimentSettings
from cluster.results.folder import REPORT_FILE, read_trials
from cluster.service.backends.archive import ArchiveBackend, told
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Conflict, OverQuota
from cluster.service.core.job_record import trials_of
from cluster.service.core.pagination import page_of
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.request_mapping import admit
from cluster.service.schemas import (
    TERMINAL,
    Estimate,
    Event,
    EventKind,
    JobStatus,
    Optimization,
    OptimizationRequest,
    Page,
    TaskOutlook,
    Usage,
)
from optimizer.errors import SettingsError, StorageError
from serving.runtime.supervision import Supervisor
from serving.runtime.supervision import told as reason_of
from serving.runtime.wakeup import Wakeup
from serving.storage import Folder

_MADE_AT_THE_END = (
    "trials.parquet",
    "candidates.parquet",
    "costs.parquet",
    "failures.parquet",
    REPORT_FILE,
)
MOST_JOBS = 1000


@dataclass(frozen=True)
class PlayedFolder(Folder):
    """A results folder as it would stand in the middle of a run.

    Its ledger is that of the finished folder.
    """

    source: Folder
    files: dict[str, bytes]
    above: str = ""

    @property
    def place(self) -> str:
        return f"played:{self.source.place}/{self.above}{id(self.files)}"

    @property
    def local(self) -> bool:
        return True

    def child(self, name: str) -> Folder:
        return (
            self.source / name
            if name == "ledger"
            else PlayedFolder(self.source, self.files, f"{self.above}{name}/")
        )

    def place_of(self, name: str) -> str:
        return f"{self.place}/{name}"

    def absolute(self) -> Folder:
        return self

    def make(self) -> None:
        """There is nothing to make."""

    def write(self, name: str, data: bytes) -> None:
        self.files[self.above + name] = data

    def read(self, name: str) -> bytes:
        if not self.exists(name):
            raise StorageError(f"{self.place_of(name)} cannot be read (no such file or folder).")
        return self.files[self.above + name]

    def names(self, ending: str = "") -> list[str]:
        inside = [
            path.removeprefix(self.above)
            for path in list(self.files)
            if path.startswith(self.above)
        ]
        return sorted(name for name in inside if "/" not in name and name.endswith(ending))

    def folders(self) -> list[str]:
        inside = {
            path.removeprefix(self.above).partition("/")[0]
            for path in list(self.files)
            if path.startswith(self.above) and "/" in path.removeprefix(self.above)
        }
        return sorted(inside)

    def exists(self, name: str) -> bool:
        return self.above + name in self.files

    def delete(self, name: str) -> None:
        self.files.pop(self.above + name, None)

    def remove(self) -> None:
        for path in [path for path in self.files if path.startswith(self.above)]:
            del self.files[path]


@dataclass
class _Play:
    """One job under way."""

    job: Optimization
    owner: str
    key: str | None
    folder: PlayedFolder
    script: list[tuple[Event, tuple[str, bytes] | None]]
    """What is still to come: an event, and the file that stands there from then on."""
    events: list[Event] = field(default_factory=list)
    news: Wakeup = field(default_factory=Wakeup)
    running: "asyncio.Task[None] | None" = None


class ReplayBackend(ArchiveBackend):
    """Shows folders as ArchiveBackend does, and plays the first of them for every job that is
    created.
    """

    def __init__(
        self,
        places: Sequence[Folder | Path | str],
        every_s: float = 1.0,
        jobs_at_once: int | None = None,
        service: ServiceSettings | None = None,
    ) -> None:
        super().__init__(places)
        self._service = service or ServiceSettings()
        self._template = next(iter(self._shown.values()))
        self._results = read_trials(self._template.folder)
        self._every_s = every_s
        self._jobs_at_once = jobs_at_once
        self._plays: dict[str, _Play] = {}
        self._tasks = Supervisor("the player of jobs")

    async def close(self) -> None:
        """Ends what is playing."""
        await self._tasks.close()

    async def create(
        self, principal: Principal, request: OptimizationRequest, idempotency_key: str | None = None
    ) -> Optimization:
        for play in self._plays.values():
            if idempotency_key is not None and (play.owner, play.key) == (
                principal.owner,
                idempotency_key,
            ):
                return play.job
        self._check(request)
        open_jobs = [
            play
            for play in self._plays.values()
            if play.owner == principal.owner and play.job.status not in TERMINAL
        ]
        if len(open_jobs) >= (self._jobs_at_once or MOST_JOBS) or len(self._plays) >= MOST_JOBS:
            raise OverQuota(
                f"{len(open_jobs)} of your jobs are open, and no more at once: wait for one, or "
                "cancel it.",
                30.0,
            )
        folder = PlayedFolder(self._template.folder, {})
        job = Optimization(
            id=f"opt-{secrets.token_hex(8)}",
            name=request.name,
            owner=principal.owner,
            created_at=int(time.time()),
            status="queued",
            queue_position=1,
            request=request,
            trials=len(self._results),
        )
        play = self._plays[job.id] = _Play(
            job, principal.owner, idempotency_key, folder, list(self._script())
        )
        self._tell(play, *play.script.pop(0))
        self._start(play)
        return play.job

    async def estimate(
        self, principal: Principal, request: OptimizationRequest, probe: bool
    ) -> Estimate:
        self._check(request)
        trials = len(request.tasks) * len(request.strategies) * len(request.seeds)
        calls, asked = (
            None if most is None else most * trials
            for most in (request.budget.target_calls, request.budget.optimizer_calls)
        )
        task_estimate = [
            TaskOutlook(
                task=task.label or task.generated or "data",
                items=request.sizes.model_dump(),
                seed_accuracy=None,
                noise=None,
                ceiling=None,
                can_pay=None,
                sentence="Nothing was asked: this service only plays jobs.",
            )
            for task in request.tasks
        ]
        return Estimate(
            trials=trials,
            target_calls=calls,
            optimizer_calls=asked,
            tokens=None,
            money=None,
            wall_s=None,
            measured=False,
            sentence=f"At most {calls} target and {asked} optimizer calls in {trials} trials; but "
            "this service only plays jobs.",
            tasks=task_estimate,
            can_pay=None,
        )

    async def get(self, principal: Principal, id: str) -> Optimization:
        play = self._play(principal, id)
        return play.job if play else await super().get(principal, id)

    async def page(
        self,
        principal: Principal,
        after: str | None,
        limit: int,
        status: str | None = None,
        owner: str | None = None,
    ) -> Page[Optimization]:
        jobs = [*(play.job for play in reversed(self._plays.values())), *self._jobs]
        seen = [job for job in jobs if principal.may_see(job.owner) and owner in (None, job.owner)]
        return page_of(seen, after, limit, status)

    async def cancel(self, principal: Principal, id: str) -> Optimization:
        play = self._play(principal, id)
        if play is None or play.job.status in TERMINAL:
            raise Conflict(
                "The job is over."
                if play
                else (await super().get(principal, id)).status + ": the job is over."
            )
        if play.running is not None:
            play.running.cancel()
        self._say(
            play,
            "job.cancelled",
            "The job was cancelled; every finished call is kept.",
            status="cancelled",
        )
        return play.job

    async def resume(self, principal: Principal, id: str) -> Optimization:
        play = self._play(principal, id)
        job = play.job if play else await super().get(principal, id)
        if play is None or job.status not in ("cancelled", "failed"):
            raise Conflict(
                f"The job is {job.status}: only one that has failed or was cancelled can be "
                "resumed."
            )
        self._say(play, "job.resumed", "The job goes on.", status="queued")
        self._start(play)
        return play.job

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        play = self._play(principal, id)
        return (
            play.events[after : after + limit]
            if play
            else await super().events(principal, id, after, limit)
        )

    async def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        play = self._play(principal, id)
        if play is None:
            async for event in super().follow(principal, id, after):
                yield event
            return
        while True:
            news = play.news.next
            while after < len(play.events):
                after += 1
                yield play.events[after - 1]
            if play.job.status in TERMINAL:
                return
            await news.wait()

    async def settings(self, principal: Principal, id: str) -> ExperimentSettings:
        return (
            self._template.settings
            if self._play(principal, id)
            else await super().settings(principal, id)
        )

    async def results(self, principal: Principal, id: str) -> Folder:
        play = self._play(principal, id)
        return play.folder if play else await super().results(principal, id)

    async def quota(self, principal: Principal) -> dict[str, int | float]:
        now = sum(
            play.owner == principal.owner and play.job.status not in TERMINAL
            for play in self._plays.values()
        )
        return {"jobs_now": now, "calls_today": 0, "money_today": 0.0}

    def _check(self, request: OptimizationRequest) -> None:
        """Raises SettingsError for what a service that runs jobs would refuse at once."""
        admit(request, self._service)
        for task in request.tasks:
            if (task.file is None) == (task.generated is None):
                raise SettingsError("A task is a file or a generated one: give one of the two.")

    def _play(self, principal: Principal, id: str) -> _Play | None:
        play = self._plays.get(id)
        return play if play is not None and principal.may_see(play.owner) else None

    def _script(self) -> Iterator[tuple[Event, tuple[str, bytes] | None]]:
        at = int(time.time())
        result_by_trial = {result.trial: result for result in self._results}
        places = {result.trial: count() for result in self._results}
        for event in told(
            self._results, at, self._template.job.usage, "job.succeeded", guess_calls=True
        ):
            file = None
            if event.kind == "trial.round" and event.trial is not None:
                place = next(places[event.trial])
                round = [one for one in result_by_trial[event.trial].rounds if one.standings][place]
                file = f"rounds/{event.trial}/{round.number:04d}.json", _json(round.to_json())
            elif event.kind in ("trial.finished", "trial.failed") and event.trial is not None:
                file = f"trials/{event.trial}.json", _json(result_by_trial[event.trial].to_json())
            yield event, file

    def _start(self, play: _Play) -> None:
        """A job that cannot be played on has failed, and says so."""
        play.running = self._tasks.once(
            f"playing {play.job.id}",
            partial(self._run, play),
            lambda problem: self._say(
                play,
                "job.failed",
                f"The job broke on a fault of the service ({reason_of(problem)}).",
                status="failed",
            ),
        )

    async def _run(self, play: _Play) -> None:
        play.job = play.job.model_copy(update={"runs": play.job.runs + 1, "queue_position": None})
        while play.script:
            await asyncio.sleep(self._every_s)
            self._tell(play, *play.script.pop(0))

    def _tell(self, play: _Play, event: Event, file: tuple[str, bytes] | None) -> None:
        if file is not None:
            play.folder.write(*file)
        status: JobStatus = (
            "succeeded"
            if event.kind == "job.succeeded"
            else "queued"
            if event.kind == "job.queued"
            else "running"
        )
        if status == "succeeded":
            for name in _MADE_AT_THE_END:
                if self._template.folder.exists(name):
                    play.folder.write(name, self._template.folder.read(name))
        self._say(play, event.kind, event.message, event.trial, status, event.data)

    def _say(
        self,
        play: _Play,
        kind: EventKind,
        message: str,
        trial: str | None = None,
        status: JobStatus = "running",
        data: "dict[str, object] | None" = None,
    ) -> None:
        now = int(time.time())
        event = Event(
            id=len(play.events) + 1,
            created_at=now,
            kind=kind,
            trial=trial,
            message=message,
            data=data or {},
        )
        play.events.append(event)
        job = play.job
        spent = {
            name: (data or {}).get(name, 0)
            for name in ("target_calls", "optimizer_calls", "ledger_hits", "repeats")
        }
        known = isinstance((data or {}).get("optimizer_calls"), int)
        accuracy = (data or {}).get("dev_accuracy")
        best = [one for one in (job.best_dev_accuracy, accuracy) if isinstance(one, float)]
        play.job = job.model_copy(
            update={
                "status": status,
                "last_event": event.id,
                "started_at": job.started_at or (now if status == "running" else None),
                "finished_at": now if status in TERMINAL else None,
                "in_flight": 8 if status == "running" else 0,
                "trials_done": job.trials_done + (kind in ("trial.finished", "trial.failed")),
                "trials_told": trials_of(status, _statuses(play.events).values(), job.trials),
                "usage": Usage(**spent) if known else job.usage,
                "best_dev_accuracy": max(best, default=None),
                "best_dev_accuracy_by_task": self._by_task(job, trial, accuracy),
                "queue_position": 1 if status == "queued" else None,
            }
        )
        play.news.wake()

    def _by_task(self, job: Optimization, trial: str | None, accuracy: object) -> dict[str, float]:
        """With the trial's accuracy under its task."""
        by_task = dict(job.best_dev_accuracy_by_task)
        task = next((one.task for one in self._results if one.trial == trial), None)
        if task is not None and isinstance(accuracy, float):
            by_task[task] = max(accuracy, by_task.get(task, 0.0))
        return by_task


def _statuses(events: Sequence[Event]) -> dict[str, str]:
    """Trial -> how it stands after these events."""
    status_by_trial: dict[str, str] = {}
    for event in events:
        if event.trial is not None:
            ended = (
                str(event.data.get("status", "failed"))
                if event.kind in ("trial.finished", "trial.failed")
                else "running"
            )
            status_by_trial[event.trial] = ended
    return status_by_trial


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
