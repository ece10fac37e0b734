"""The protocol between the API and whoever stores and runs the jobs.

Every replica of the API has a backend of its own; all of them agree, since their state is in the
service's storage folder. Knows no HTTP and no Ray.

Backends check ownership: to a principal who may not see a thing, it does not exist.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cluster.config.experiment import ExperimentSettings
from cluster.service.schemas import (
    Estimate,
    EvaluationRequest,
    Event,
    Job,
    JobKind,
    OptimizationRequest,
    Page,
)
from serving.storage import Folder


@dataclass(frozen=True)
class Principal:
    """The owner of the key behind a request; an admin may see everybody's jobs and files."""

    owner: str
    admin: bool = False

    def may_see(self, owner: str) -> bool:
        """Return whether what this owner has is visible to the principal."""
        return self.admin or owner == self.owner


class JobBackend(Protocol):
    """Stores and runs the jobs of a service.

    Its methods raise NotFound for an id that does not exist, Conflict if the job's status does not
    allow the operation, OverQuota if the owner's quota has no room, and SettingsError or DataError
    for a request that makes no experiment. The first three are in cluster.service.core.errors; all
    are PromptrayErrors.
    """

    async def create(
        self,
        principal: Principal,
        request: OptimizationRequest | EvaluationRequest,
        idempotency_key: str | None = None,
    ) -> Job:
        """Check a request as `promptray run` or `promptray evaluate` would, and queue it as a job.

        Args:
            principal: Who asks; becomes the owner.
            request: What to run.
            idempotency_key: A second request of the same owner with the same key gives the same
                job.
        """
        ...

    async def estimate(
        self, principal: Principal, request: OptimizationRequest, probe: bool
    ) -> Estimate:
        """Estimate what a job may cost.

        Args:
            principal: Who asks.
            request: What would be run.
            probe: Whether to call the models for the headroom check, at the cost of a `promptray
                check`.
        """
        ...

    async def get(self, principal: Principal, id: str) -> Job:
        """Return a job."""
        ...

    async def page(
        self,
        principal: Principal,
        after: str | None,
        limit: int,
        status: str | None = None,
        owner: str | None = None,
        kind: JobKind | None = None,
    ) -> Page[Job]:
        """Return one page of the jobs that the principal may see, the newest first.

        Args:
            principal: Who asks.
            after: The id of the job before the page; None: from the newest on.
            limit: The most jobs on the page.
            status: Only jobs with this status.
            owner: Only jobs of this owner.
            kind: Only jobs of this kind; None: of any.
        """
        ...

    async def cancel(self, principal: Principal, id: str) -> Job:
        """Cancel a job; every finished call is recorded, so it can be resumed.

        A job that is being cancelled already is returned as it is; for one that is over Conflict is
        raised.
        """
        ...

    async def resume(self, principal: Principal, id: str) -> Job:
        """Queue a failed or cancelled job again; it goes on by replay."""
        ...

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        """Return at most `limit` events with ids above `after`, by id."""
        ...

    def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        """Yield the events with ids above `after`, and all to come, until the job's last one."""
        ...

    async def settings(self, principal: Principal, id: str) -> ExperimentSettings:
        """Return the settings of the job's experiment; raise Conflict for an evaluation."""
        ...

    async def results(self, principal: Principal, id: str) -> Folder:
        """Return the job's results folder.

        While the job runs, `rounds/TRIAL/NNNN.json` has each finished round of a trial;
        `trials/TRIAL.json` is there once a trial has ended. Of an evaluation it has items.parquet
        and summary.json once it has ended.
        """
        ...

    async def faults(self) -> list[str]:
        """Return one sentence for each background task that has failed for a while; never raise.

        It is for the service's health.
        """
        ...

    async def ping(self) -> None:
        """Return soon if whoever runs the jobs is at work; else raise, or do not return."""
        ...

    async def quota(self, principal: Principal) -> Mapping[str, Any]:
        """Return the fields of schemas.Quota that say what is used.

        Returns:
            `jobs_now`, `calls_today` and `money_today`.
        """
        ...
