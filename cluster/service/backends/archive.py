"""A backend that shows finished results folders as jobs that are over; needs no Ray and no cluster.

It serves `promptray show` and changes nothing: a request to start, cancel or resume a job is a
Conflict. A job's events are rebuilt from its results.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import settings_place
from cluster.service.backends.archived_evaluation import holds_evaluation, read_archived_evaluation
from cluster.service.backends.archived_job import ArchivedJob, job_id, read_archived_job
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Conflict, Damaged
from cluster.service.core.job_record import DamagedJob
from cluster.service.core.pagination import page_of, unknown_job
from cluster.service.schemas import (
    Estimate,
    EvaluationRequest,
    Event,
    Job,
    JobKind,
    OptimizationRequest,
    Page,
)
from optimizer.errors import DataError, PromptrayError
from serving.storage import Folder, open_folder

READ_ONLY = (
    "This service only shows finished results; a service that runs jobs is started with promptray "
    "up."
)
NO_SETTINGS = "This job is an evaluation: it has no trials, and no settings of them."
OWNER = "local"


class ArchiveBackend:
    """A JobBackend over results folders, each of which is read once, at the start.

    A folder that cannot be read is shown as a failed job with the reason.
    """

    def __init__(self, folders: Sequence[Folder | Path | str], owner: str = OWNER) -> None:
        """Read the folders.

        Args:
            folders: Paths or URIs of results folders.
            owner: The owner that all jobs are shown under.

        Raises:
            StorageError: A folder is no results folder at all.
            DataError: None of the folders can be read.
            SettingsError: None of the folders has settings that can be read.
        """
        archived: list[ArchivedJob] = []
        problems: list[PromptrayError] = []
        self._damaged: dict[str, Job] = {}
        for place in folders:
            folder = open_folder(place).absolute()
            settings_place(folder)  # raises: a folder without settings is a typing error
            try:
                read = read_archived_evaluation if holds_evaluation(folder) else read_archived_job
                archived.append(read(folder, owner))
            except Exception as problem:  # noqa: BLE001
                # Whatever is wrong with one folder, the others are shown.
                problems.append(_as_promptray_error(folder, problem))
                damaged = DamagedJob(
                    job_id(folder), 0, owner, folder.place.rpartition("/")[2], 0, str(problems[-1])
                )
                self._damaged[damaged.id] = damaged.answer
        if problems and not archived:
            raise problems[0]
        self._archived = {
            one.job.id: one
            for one in sorted(archived, key=lambda one: one.job.created_at, reverse=True)
        }

    @property
    def damaged(self) -> list[str]:
        """Return one sentence for each folder that cannot be shown."""
        return [job.error.message for job in self._damaged.values() if job.error]

    async def create(
        self,
        principal: Principal,
        request: OptimizationRequest | EvaluationRequest,
        idempotency_key: str | None = None,
    ) -> Job:
        """Refuse: this backend runs nothing.

        Raises:
            Conflict: Always.
        """
        raise Conflict(READ_ONLY)

    async def estimate(
        self, principal: Principal, request: OptimizationRequest, probe: bool
    ) -> Estimate:
        """Refuse: this backend runs nothing.

        Raises:
            Conflict: Always.
        """
        raise Conflict(READ_ONLY)

    async def get(self, principal: Principal, id: str) -> Job:
        """See JobBackend.get."""
        if id in self._damaged and principal.may_see(self._damaged[id].owner):
            return self._damaged[id]
        return self._visible(principal, id).job

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
        jobs = [job for job in self._jobs if principal.may_see(job.owner)]
        return page_of(
            [job for job in jobs if owner in (None, job.owner)], after, limit, status, kind
        )

    @property
    def _jobs(self) -> list[Job]:
        """Return all jobs, those that cannot be shown last."""
        return [*(one.job for one in self._archived.values()), *self._damaged.values()]

    async def cancel(self, principal: Principal, id: str) -> Job:
        """Refuse: the job is over.

        Raises:
            Conflict: The job exists.
            NotFound: It does not, or the principal may not see it.
        """
        self._visible(principal, id)
        raise Conflict(READ_ONLY)

    async def resume(self, principal: Principal, id: str) -> Job:
        """Refuse: this backend runs nothing.

        Raises:
            Conflict: The job exists.
            NotFound: It does not, or the principal may not see it.
        """
        self._visible(principal, id)
        raise Conflict(READ_ONLY)

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        """See JobBackend.events."""
        return [event for event in self._visible(principal, id).events if event.id > after][:limit]

    async def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        """See JobBackend.follow."""
        for event in self._visible(principal, id).events:
            if event.id > after:
                yield event

    async def settings(self, principal: Principal, id: str) -> ExperimentSettings:
        """See JobBackend.settings."""
        settings = self._visible(principal, id).settings
        if settings is None:
            raise Conflict(NO_SETTINGS)
        return settings

    async def results(self, principal: Principal, id: str) -> Folder:
        """See JobBackend.results."""
        return self._visible(principal, id).folder

    async def faults(self) -> list[str]:
        """Return no fault: nothing runs in the background."""
        return []

    async def ping(self) -> None:
        """Return at once: no other process is involved."""

    async def quota(self, principal: Principal) -> Mapping[str, Any]:
        """Return a use of zero: nothing is spent here."""
        return {"jobs_now": 0, "calls_today": 0, "money_today": 0.0}

    def _visible(self, principal: Principal, id: str) -> ArchivedJob:
        """Return a job that the principal may see.

        Raises:
            Damaged: Its folder cannot be read.
            NotFound: There is no such job, or the principal may not see it.
        """
        damaged = self._damaged.get(id)
        if damaged and damaged.error and principal.may_see(damaged.owner):
            raise Damaged(damaged.error.message)
        found = self._archived.get(id)
        if found is None or not principal.may_see(found.job.owner):
            raise unknown_job(id)
        return found


def _as_promptray_error(folder: Folder, problem: Exception) -> PromptrayError:
    if isinstance(problem, PromptrayError):
        return problem
    return DataError(
        f"The results in {folder} are damaged ({type(problem).__name__}: {problem}); bring them "
        "back from a copy."
    )
