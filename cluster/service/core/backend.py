"""What the API asks of whoever keeps and runs the jobs.

Every replica of the API holds such an backend; all of them agree, since what they say stands in the
service's storage folder. Knows no HTTP and no Ray.

Whom a thing belongs to is looked at here: a caller who may not see a thing is told that there is
none.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cluster.config.experiment import ExperimentSettings
from cluster.service.schemas import Estimate, Event, Optimization, OptimizationRequest, Page
from serving.storage import Folder


@dataclass(frozen=True)
class Principal:
    """Who asks. An admin sees everybody's."""

    owner: str
    admin: bool = False

    def may_see(self, owner: str) -> bool:
        return self.admin or owner == self.owner


class JobBackend(Protocol):
    """Raises NotFound for an id that there is not, Conflict where the job's status does not allow
    what is asked, OverQuota where the caller's quota has no room, SettingsError and DataError for a
    request that no experiment can be made of (the first three are in cluster.service.core.errors;
    all are PromptrayErrors).
    """

    async def create(
        self, principal: Principal, request: OptimizationRequest, idempotency_key: str | None = None
    ) -> Optimization:
        """Checks the request as `promptray run` would, and queues it.

        The same key of the same owner gives the same job again.
        """
        ...

    async def estimate(
        self, principal: Principal, request: OptimizationRequest, probe: bool
    ) -> Estimate:
        """With `probe` the headroom gate asks the models, at the cost of a `promptray check`."""
        ...

    async def get(self, principal: Principal, id: str) -> Optimization: ...

    async def page(
        self,
        principal: Principal,
        after: str | None,
        limit: int,
        status: str | None = None,
        owner: str | None = None,
    ) -> Page[Optimization]:
        """The newest first."""
        ...

    async def cancel(self, principal: Principal, id: str) -> Optimization:
        """Every finished call is kept, so the job can be resumed.

        A job that is over is a Conflict; one that is being cancelled is
        given as it is.
        """
        ...

    async def resume(self, principal: Principal, id: str) -> Optimization:
        """Queues a failed or cancelled job again; it goes on by replay."""
        ...

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        """Those with ids above `after`, by id."""
        ...

    def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        """Those with ids above `after`, and all that come, until the job is over and its last event
        was given.
        """
        ...

    async def settings(self, principal: Principal, id: str) -> ExperimentSettings:
        """The experiment that the job is."""
        ...

    async def results(self, principal: Principal, id: str) -> Folder:
        """The job's results folder.

        While it runs, `rounds/TRIAL/NNNN.json` has each finished round of a trial;
        `trials/TRIAL.json`
        stands there when a trial has ended.
        """
        ...

    async def faults(self) -> list[str]:
        """What has not got on for a while behind the API, a sentence each: for the service's
        health. Never raises.
        """
        ...

    async def ping(self) -> None:
        """Returns soon where whoever keeps the jobs is at work; else raises, or does not return."""
        ...

    async def quota(self, principal: Principal) -> Mapping[str, Any]:
        """The fields of objects.Quota that tell of use: jobs_now, calls_today, money_today."""
        ...
