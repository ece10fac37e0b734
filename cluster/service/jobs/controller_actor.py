"""The controller as one named, detached actor of the Ray cluster, one a storage.

Thin: what it does is in controller.py.

It comes back by itself after a crash and goes on from storage; the processes that it had are gone
with it. It begins when it is made, not when it is first asked: after a crash nobody may be there to
ask.
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
from cluster.service.jobs.run_updates import RunUpdates
from cluster.service.jobs.worker_pool import RayWorkerPool
from cluster.service.schemas import Event, Optimization
from optimizer.errors import PromptrayError, SettingsError
from serving.runtime.actors import NAMESPACE, lasting
from serving.runtime.supervision import LASTING
from serving.storage import Folder, open_folder


class ControllerActor:
    """`JobController` behind Ray. Async: who waits does not hold up the others."""

    def __init__(self, service: ServiceSettings) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        self._service = service
        self._opening = asyncio.Lock()
        self._open = False
        me = ray.get_runtime_context().current_actor
        self._worker_pool = RayWorkerPool(service, me)
        # With the process its workers end, too; the one that comes in its place is told who has the
        # storage.
        self._controller = JobController(
            service.storage, service.running, self._worker_pool, service.quota, lambda: os._exit(1)
        )
        me.open.remote()

    async def open(self) -> int:
        """Returns the process's number when the storage is taken and the models run.

        Raises StorageError, EndpointError.
        """
        async with self._opening:
            if not self._open:
                await self._worker_pool.host()
                await self._controller.open()
                self._open = True
        return os.getpid()

    async def ping(self) -> None:
        """Returns at once: the process and its event loop are at work."""

    async def create(self, filed: Filed, limits: QuotaSettings) -> Optimization:
        await self.open()
        return await self._controller.create(filed, limits)

    async def get(self, id: str) -> Optimization:
        await self.open()
        return self._controller.get(id)

    async def jobs(self) -> list[Optimization]:
        """All, the newest first."""
        await self.open()
        return self._controller.jobs()

    async def cancel(self, id: str) -> Optimization:
        await self.open()
        return await self._controller.cancel(id)

    async def resume(self, id: str, limits: QuotaSettings) -> Optimization:
        await self.open()
        return await self._controller.resume(id, limits)

    async def spend(self, act: str, *given: Any, limits: QuotaSettings | None = None) -> Any:
        """What may be asked of the owners' budgets (owner_budgets.ACTS), from whoever spends for an
        owner, who comes first in
        `given`. `limits`: what the owner's quota is now; None: as it was last known.
        """
        await self.open()
        if act not in ACTS:
            raise SettingsError(f"There is no {act!r} of an owner's budget.")
        if limits is not None:
            await self._controller.limit(given[0], limits)
        return await getattr(self._controller.budgets, act)(*given)

    async def use(self, owner: str) -> dict[str, Any]:
        await self.open()
        await self._controller.budgets.open(owner)
        return self._controller.use(owner)

    async def news(
        self, after_by_job: Mapping[str, int], timeout_s: float
    ) -> dict[str, list[Event] | PromptrayError]:
        await self.open()
        return await self._controller.news(after_by_job, timeout_s)

    async def report(self, job: str, run: int, news: RunUpdates) -> None:
        """From a worker."""
        self._controller.report(job, run, news)

    async def claim_models(self, job: str, run: int, deployments: list[str]) -> None:
        """From a worker, before it hosts them."""
        await self._worker_pool.watch(deployments)
        await self._controller.claim_models(job, run, deployments)

    async def faults(self) -> list[str]:
        """What does not get on now, a sentence each."""
        await self.open()
        return self._controller.faults(LASTING)

    async def notes(self) -> list[str]:
        """What was found damaged on storage, and what was done about it, a sentence each."""
        await self.open()
        return self._controller.job_table.notes


def controller_name(storage: Folder | str) -> str:
    """The actor's, in our namespace."""
    # Services that run already know the actor by this name.
    return (
        f"keeper-{hashlib.sha256(open_folder(storage).absolute().place.encode()).hexdigest()[:12]}"
    )


def open_controller(service: ServiceSettings) -> Any:
    """The handle of the storage's controller on this cluster, which is made where there is none."""
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
