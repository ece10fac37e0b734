"""The controller as a named, detached actor of the Ray cluster, one for each storage.

It is thin: controller.py does the work. After a crash Ray starts it again and it goes on from
storage; the processes that it had are gone with it. It begins when it is made, not at the first
call: after a crash nobody may be there to call it.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Mapping
from typing import Any

import ray

from cluster.ray_runtime.session import ENVIRONMENT
from cluster.service.access.owner_budgets import ACTS
from cluster.service.core.job_record import Filed
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from cluster.service.jobs.controller import JobController
from cluster.service.jobs.run_updates import RunUpdate
from cluster.service.jobs.worker_pool import RayWorkerPool
from cluster.service.schemas import Event, Job
from optimizer.errors import PromptrayError, SettingsError
from serving.runtime.actors import NAMESPACE, lasting
from serving.runtime.supervision import LASTING
from serving.storage import Folder, open_folder


class ControllerActor:
    """`JobController` behind Ray; async, so that a caller who waits does not hold up the others."""

    def __init__(self, service: ServiceSettings) -> None:
        """Make the controller, and begin to open it."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        self._service = service
        service.components.import_all()
        self._opening = asyncio.Lock()
        self._open = False
        me = ray.get_runtime_context().current_actor
        self._worker_pool = RayWorkerPool(service, me)
        # The workers end with this process. The actor that Ray starts in its place gets a
        # StorageError that says which process has the storage.
        self._controller = JobController(
            service.storage, service.running, self._worker_pool, service.quota, lambda: os._exit(1)
        )
        me.open.remote()

    async def open(self) -> int:
        """Wait until the storage is taken and the models run, and return the process's number.

        Raises:
            StorageError: Another process holds the storage.
            EndpointError: A model does not start.
        """
        async with self._opening:
            if not self._open:
                await self._worker_pool.host()
                await self._controller.open()
                self._open = True
        return os.getpid()

    async def ping(self) -> None:
        """Return at once: the process and its event loop are at work."""

    async def create(self, filed: Filed, limits: QuotaSettings) -> Job:
        """See JobController.create."""
        await self.open()
        return await self._controller.create(filed, limits)

    async def get(self, id: str) -> Job:
        """See JobController.get."""
        await self.open()
        return self._controller.get(id)

    async def jobs(self) -> list[Job]:
        """Return all jobs, the newest first."""
        await self.open()
        return self._controller.jobs()

    async def cancel(self, id: str) -> Job:
        """See JobController.cancel."""
        await self.open()
        return await self._controller.cancel(id)

    async def resume(self, id: str, limits: QuotaSettings) -> Job:
        """See JobController.resume."""
        await self.open()
        return await self._controller.resume(id, limits)

    async def spend(self, act: str, *given: Any, limits: QuotaSettings | None = None) -> Any:
        """Call a method of the owners' budgets, for whoever spends for an owner.

        Args:
            act: The name of the method, one of owner_budgets.ACTS.
            given: Its arguments; the owner is the first.
            limits: The owner's quota; None: as it was last set.

        Raises:
            SettingsError: There is no such method.
            QuotaExhausted: The owner's budget has no room.
        """
        await self.open()
        if act not in ACTS:
            raise SettingsError(f"There is no {act!r} of an owner's budget.")
        if limits is not None:
            await self._controller.limit(given[0], limits)
        return await getattr(self._controller.budgets, act)(*given)

    async def use(self, owner: str) -> dict[str, Any]:
        """Return what an owner has used; see JobController.use."""
        await self.open()
        await self._controller.budgets.open(owner)
        return self._controller.use(owner)

    async def events_since(
        self, after_by_job: Mapping[str, int], timeout_s: float
    ) -> dict[str, list[Event] | PromptrayError]:
        """See JobController.events_since."""
        await self.open()
        return await self._controller.events_since(after_by_job, timeout_s)

    async def report(self, job: str, run: int, update: RunUpdate) -> None:
        """Take in an update from a worker; see JobController.report."""
        self._controller.report(job, run, update)

    async def claim_models(self, job: str, run: int, deployments: list[str]) -> None:
        """Record which models a worker is about to host; see JobController.claim_models."""
        await self._worker_pool.watch(deployments)
        await self._controller.claim_models(job, run, deployments)

    async def faults(self) -> list[str]:
        """Return one sentence for each background task that has failed for a while."""
        await self.open()
        return self._controller.faults(LASTING)

    async def notes(self) -> list[str]:
        """Return what was found damaged on storage and what was done about it, a sentence each."""
        await self.open()
        return self._controller.job_table.notes


def controller_name(storage: Folder | str) -> str:
    """Return the actor's name in our namespace."""
    # Services that run already know the actor by this name.
    return (
        f"keeper-{hashlib.sha256(open_folder(storage).absolute().place.encode()).hexdigest()[:12]}"
    )


def open_controller(service: ServiceSettings) -> Any:
    """Return the handle of a storage's controller on this cluster; it is started if none runs."""
    place = open_folder(service.storage).absolute()
    own = service.model_copy(update={"storage": place.place})
    return (
        ray.remote(ControllerActor)
        .options(
            name=controller_name(place),
            lifetime="detached",
            get_if_exists=True,
            **{**lasting(place), "namespace": NAMESPACE},
        )
        .remote(own)
    )
