"""A backend whose jobs run nothing: each replays the events of a finished results folder.

It serves the demo and the tests of the page and the clients, without models: a job waits, starts,
finishes rounds, can be cancelled and resumed, and its results folder fills as that of a running job
does. Jobs are in memory only. Knows no HTTP and no Ray.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path

from cluster.config.experiment import ExperimentSettings
from cluster.results.folder import read_trials
from cluster.service.access.admission import requested_trials
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.backends.archived_events import events_of_results
from cluster.service.backends.played_folder import PlayedFolder
from cluster.service.backends.played_job import PlayedJob, Step
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Conflict, OverQuota
from cluster.service.core.pagination import page_of
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.request_mapping import admit
from cluster.service.schemas import (
    Estimate,
    EvaluationRequest,
    Event,
    Job,
    JobKind,
    Optimization,
    OptimizationRequest,
    Page,
    TaskOutlook,
)
from optimizer.errors import DataError
from serving.runtime.supervision import Supervisor, describe
from serving.storage import Folder

MOST_JOBS = 1000


class ReplayBackend(ArchiveBackend):
    """A backend that shows folders as ArchiveBackend does, and replays the first for every job."""

    def __init__(
        self,
        folders: Sequence[Folder | Path | str],
        every_s: float = 1.0,
        jobs_at_once: int | None = None,
        service: ServiceSettings | None = None,
    ) -> None:
        """Read the folders.

        Args:
            folders: Paths or URIs of results folders.
            every_s: Seconds between two events of a job.
            jobs_at_once: Jobs of one owner that may be open at once; None: MOST_JOBS.
            service: The settings that requests are checked against.

        Raises:
            StorageError: A folder is no results folder at all.
            DataError: None of the folders can be read, or none is that of an optimization.
            SettingsError: None of the folders has settings that can be read.
        """
        super().__init__(folders)
        self._service = service or ServiceSettings()
        template = next((one for one in self._archived.values() if one.settings), None)
        if template is None:
            raise DataError(
                "None of the folders is that of an optimization, which can be replayed."
            )
        self._template = template
        self._results = read_trials(template.folder)
        self._every_s = every_s
        self._jobs_at_once = jobs_at_once
        self._played: dict[str, PlayedJob] = {}
        self._tasks = Supervisor("the player of jobs")

    async def close(self) -> None:
        """Stop all jobs that are being played."""
        await self._tasks.close()

    async def create(
        self,
        principal: Principal,
        request: OptimizationRequest | EvaluationRequest,
        idempotency_key: str | None = None,
    ) -> Job:
        """Create a job that replays the first folder, whatever the request asks for.

        Raises:
            SettingsError: The request is one that a service that runs jobs would refuse.
            Conflict: It asks for an evaluation.
            OverQuota: Too many jobs are open.
        """
        owner = principal.owner
        for played in self._played.values():
            if idempotency_key is not None and (played.owner, played.key) == (
                owner,
                idempotency_key,
            ):
                return played.job
        admit(request, self._service)
        if isinstance(request, EvaluationRequest):
            raise Conflict(
                "This service only replays a finished optimization: it evaluates nothing."
            )
        open_jobs = self._open_jobs(owner)
        if open_jobs >= (self._jobs_at_once or MOST_JOBS) or len(self._played) >= MOST_JOBS:
            raise OverQuota(
                f"{open_jobs} of your jobs are open, and no more at once: wait for one, or "
                "cancel it.",
                30.0,
            )
        job = Optimization(
            id=f"opt-{secrets.token_hex(8)}",
            name=request.name,
            owner=owner,
            created_at=int(time.time()),
            status="queued",
            queue_position=1,
            request=request,
            trials=len(self._results),
        )
        played = self._played[job.id] = PlayedJob(
            job,
            owner,
            idempotency_key,
            PlayedFolder(self._template.folder, {}),
            list(self._script()),
            {result.trial: result.task for result in self._results},
        )
        played.play_next()
        self._start(played)
        return played.job

    async def estimate(
        self, principal: Principal, request: OptimizationRequest, probe: bool
    ) -> Estimate:
        """Return the upper limits of the request's budget; no model is called.

        Raises:
            SettingsError: The request is one that a service that runs jobs would refuse.
        """
        admit(request, self._service)
        trials = requested_trials(request, self._service)
        target_calls, optimizer_calls = (
            None if most is None else most * trials
            for most in (request.budget.target_calls, request.budget.optimizer_calls)
        )
        return Estimate(
            trials=trials,
            target_calls=target_calls,
            optimizer_calls=optimizer_calls,
            tokens=None,
            money=None,
            wall_s=None,
            measured=False,
            sentence=f"At most {target_calls} target and {optimizer_calls} optimizer calls in "
            f"{trials} trials; but this service only replays a finished job.",
            tasks=[
                TaskOutlook(
                    task=task.label or task.generated or "data",
                    items=request.sizes.model_dump(),
                    seed_accuracy=None,
                    noise=None,
                    ceiling=None,
                    can_pay=None,
                    sentence="Not measured: this service only replays a finished job.",
                )
                for task in request.tasks
            ],
            can_pay=None,
        )

    async def get(self, principal: Principal, id: str) -> Job:
        """See JobBackend.get."""
        played = self._find(principal, id)
        return played.job if played else await super().get(principal, id)

    async def page(
        self,
        principal: Principal,
        after: str | None,
        limit: int,
        status: str | None = None,
        owner: str | None = None,
        kind: JobKind | None = None,
    ) -> Page[Job]:
        """See JobBackend.page."""
        jobs = [*(played.job for played in reversed(self._played.values())), *self._jobs]
        seen = [job for job in jobs if principal.may_see(job.owner) and owner in (None, job.owner)]
        return page_of(seen, after, limit, status, kind)

    async def cancel(self, principal: Principal, id: str) -> Job:
        """See JobBackend.cancel."""
        played = self._find(principal, id)
        if played is None:
            raise Conflict(f"{(await super().get(principal, id)).status}: the job is over.")
        if played.over:
            raise Conflict("The job is over.")
        if played.running is not None:
            played.running.cancel()
        played.publish(
            "job.cancelled", "The job was cancelled; every finished call is recorded.", "cancelled"
        )
        return played.job

    async def resume(self, principal: Principal, id: str) -> Job:
        """See JobBackend.resume."""
        played = self._find(principal, id)
        job = played.job if played else await super().get(principal, id)
        if played is None or job.status not in ("cancelled", "failed"):
            raise Conflict(
                f"The job is {job.status}: only one that has failed or was cancelled can be "
                "resumed."
            )
        played.publish("job.resumed", "Queued to resume.", "queued")
        self._start(played)
        return played.job

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        """See JobBackend.events."""
        played = self._find(principal, id)
        return (
            played.events[after : after + limit]
            if played
            else await super().events(principal, id, after, limit)
        )

    async def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        """See JobBackend.follow."""
        played = self._find(principal, id)
        if played is None:
            async for event in super().follow(principal, id, after):
                yield event
            return
        while True:
            # Taken before the events are read: one that is added meanwhile sets this very flag.
            changed = played.changed.next
            while after < len(played.events):
                after += 1
                yield played.events[after - 1]
            if played.over:
                return
            await changed.wait()

    async def settings(self, principal: Principal, id: str) -> ExperimentSettings:
        """See JobBackend.settings."""
        own = self._template.job.id if self._find(principal, id) else id
        return await super().settings(Principal("", admin=True) if own != id else principal, own)

    async def results(self, principal: Principal, id: str) -> Folder:
        """See JobBackend.results."""
        played = self._find(principal, id)
        return played.folder if played else await super().results(principal, id)

    async def quota(self, principal: Principal) -> dict[str, int | float]:
        """Return how many jobs are open; replaying spends nothing."""
        return {
            "jobs_now": self._open_jobs(principal.owner),
            "calls_today": 0,
            "money_today": 0.0,
        }

    def _open_jobs(self, owner: str) -> int:
        return sum(one.owner == owner and not one.over for one in self._played.values())

    def _find(self, principal: Principal, id: str) -> PlayedJob | None:
        played = self._played.get(id)
        return played if played is not None and principal.may_see(played.owner) else None

    def _script(self) -> Iterator[Step]:
        """Yield the events of the first folder, each with the file that a run writes before it."""
        result_by_trial = {result.trial: result for result in self._results}
        rounds_by_trial = {
            trial: [round for round in result.rounds if round.standings]
            for trial, result in result_by_trial.items()
        }
        next_round = {trial: count() for trial in result_by_trial}
        for event in events_of_results(
            self._results,
            int(time.time()),
            self._template.job.usage,
            "job.succeeded",
            guess_calls=True,
        ):
            file = None
            if event.kind == "trial.round" and event.trial is not None:
                round = rounds_by_trial[event.trial][next(next_round[event.trial])]
                file = f"rounds/{event.trial}/{round.number:04d}.json", _json(round.to_json())
            elif event.kind in ("trial.finished", "trial.failed") and event.trial is not None:
                file = f"trials/{event.trial}.json", _json(result_by_trial[event.trial].to_json())
            yield event, file

    def _start(self, played: PlayedJob) -> None:
        """Play the job in the background; a fault on the way fails the job."""
        played.running = self._tasks.once(
            f"playing {played.job.id}",
            partial(self._run, played),
            lambda problem: played.publish(
                "job.failed",
                f"The job broke on a fault of the service ({describe(problem)}).",
                "failed",
            ),
        )

    async def _run(self, played: PlayedJob) -> None:
        played.start()
        while played.script:
            await asyncio.sleep(self._every_s)
            played.play_next()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
