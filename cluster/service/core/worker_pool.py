"""The protocol between the controller and what runs its jobs. Plain data; knows no Ray."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cluster.service.core.job_record import Filed


@dataclass(frozen=True)
class Work:
    """One run of a job."""

    filed: Filed
    run: int


@dataclass(frozen=True)
class Outcome:
    """The end of a run."""

    kind: Literal["ended", "stopped", "failed"]
    failed: tuple[str, ...] = ()
    """The trials that have failed."""
    code: str = ""
    message: str = ""
    """The reason why the run, or its trials, have failed; else what it has found, if that is one
    sentence.
    """
    statuses: dict[str, str] = field(default_factory=dict)


class Lost(Exception):
    """The process that ran the job is gone."""


class WorkerPool(Protocol):
    """A pool that runs jobs, as many at once as it is given."""

    async def run(self, work: Work) -> Outcome:
        """Run a job until the end.

        Raises:
            Lost: The process of the run is gone.
        """
        ...

    async def stop(self, job: str) -> None:
        """Ask the run of a job to end soon; do nothing if there is none."""
        ...

    async def kill(self, job: str) -> None:
        """Kill the process that runs a job, if any; its run raises Lost."""
        ...

    async def on_cluster(self, deployments: Collection[str]) -> set[str]:
        """Return which of some deployments run on the cluster, whoever has hosted them."""
        ...

    async def release(self, deployments: Collection[str]) -> set[str]:
        """Take deployments off the cluster; one that is being called stays for now.

        Returns:
            The deployments that are off the cluster.
        """
        ...

    async def in_flight(self) -> Mapping[str, int] | None:
        """Return job -> calls of models that are under way.

        A job whose calls are unknown is left out.

        Returns:
            The counts; None if no count is known, as a model does not answer now.
        """
        ...
