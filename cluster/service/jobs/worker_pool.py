"""The processes that run jobs, on Ray: started when there is work, used for job after job, replaced
when they die or say nothing.

Knows Ray, and of a job only what a run of it is. Belongs to the controller's process, and ends with
it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from cluster.experiment.partial_results import leave_results
from cluster.service.core.job_record import Lost, Outcome, Work
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.worker import Worker
from cluster.service.read_models.settings import shown_settings
from cluster.service.stores.job_store import Store
from cluster.trial.result import Status
from optimizer.errors import PromptrayError
from serving.concurrency.fair_share import Use
from serving.concurrency.gate_actor import fleet_place, open_window
from serving.hosting.deployment import deployment_name, find, take_off
from serving.models import load_engine
from serving.runtime.actors import NAMESPACE, lasting
from serving.storage import open_folder

ASKED_WITHIN_S = 2.0
STARTS_WITHIN_S = 300.0
"""A process that has not said by then that it is there is ended.

A busy cluster may take minutes to start one [ours].
"""
LOOKED_AT_EVERY_S = 10.0
SILENT_S = 120.0
"""A process that answers nothing for so long, while a job runs in it, is ended [ours]."""
SERVE_WITHIN_S = 60.0
"""Whatever is asked of Serve [ours]."""
MOST_JOBS = 50
"""Of one process [ours]."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class RayWorkerPool:
    """A job.WorkerPool. `controller` is the handle of the actor that runs report to."""

    def __init__(
        self,
        service: ServiceSettings,
        controller: Any,
        kill: Callable[[Any], None] = ray.kill,
        starts_within_s: float = STARTS_WITHIN_S,
        silent_s: float = SILENT_S,
    ) -> None:
        self._service = service
        self._kill = kill
        self._starts_within_s, self._silent_s = starts_within_s, silent_s
        self._controller = controller
        self._idle: list[Any] = []
        self._jobs_by_worker: dict[Any, int] = {}
        self._running: dict[str, tuple[Any, int]] = {}
        """Job -> the worker that has it, and the number of the run."""
        self._killed: set[str] = set()
        """Jobs whose process was ended, as they were cancelled."""
        self._window_by_name: dict[str, Any] = {}

    async def host(self) -> None:
        """Sees that the models run on this cluster, and that their windows stay.

        Raises EndpointError, UserError.
        """
        await asyncio.to_thread(self._host)

    def _host(self) -> None:
        from serving.hosting.deployment import host

        if self._service.served:
            host(self._service.served, load_engine)
        for model in self._service.parsed:
            place = fleet_place(deployment_name(model)) if model.served else model.base_url
            self._window_by_name[place] = open_window(place)

    async def run(self, work: Work) -> Outcome:
        """A process that is lost, or given up, is ended: two that run one job would fight for its
        folder.
        """
        worker = self._idle.pop() if self._idle else self._new()
        self._jobs_by_worker[worker] = self._jobs_by_worker.get(worker, 0) + 1
        self._running[work.filed.id] = worker, work.run
        usable = False
        try:
            outcome = await self._outcome(worker, work)
            usable = True
        except RayTaskError as problem:
            usable = True
            if isinstance(problem.cause, PromptrayError):
                outcome = Outcome(
                    "failed", code=type(problem.cause).__name__, message=str(problem.cause)
                )
            else:
                said = f"{type(problem.cause).__name__}: {problem.cause}"
                outcome = Outcome(
                    "failed",
                    code="InternalError",
                    message=f"The job broke on a fault of the service ({said}).",
                )
        except RayError as problem:
            raise Lost(type(problem).__name__) from None
        finally:
            self._running.pop(work.filed.id, None)
            self._free(worker, usable)
            if not usable:
                await self._leave(work.filed.id)
        return outcome

    async def _leave(self, job: str) -> None:
        """Writes what the run had found, in place of its process.

        That this cannot be done is no fault of the job's course.
        """
        cut: Status = "cancelled" if job in self._killed else "stopped"
        self._killed.discard(job)
        try:
            await asyncio.to_thread(
                leave_results, Store(self._service.storage).results(job), cut, shown_settings
            )
        except Exception as problem:  # noqa: BLE001 - the run's own end is what is told
            _log.warning("What %s had found cannot be written: %s", job, problem)

    async def _outcome(self, worker: Any, work: Work) -> Outcome:
        """What the run has come to.

        Raises Lost where its process says nothing for too long, and what Ray raises.
        """
        answer = asyncio.ensure_future(_awaited(worker.run.remote(work, self._controller)))
        silence = asyncio.ensure_future(self._silence(worker))
        try:
            await asyncio.wait([answer, silence], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Lost(silence.result())
            outcome: Outcome = answer.result()
            return outcome
        finally:
            answer.cancel()
            silence.cancel()
            await asyncio.gather(answer, silence, return_exceptions=True)

    async def _silence(self, worker: Any) -> str:
        """Returns when the process has given no sign of life for too long, with a word for it."""
        allowed_s, said = self._starts_within_s, "it did not start"
        while True:
            try:
                async with asyncio.timeout(
                    allowed_s
                ):  # not wait_for, in which a cancellation may be lost
                    await worker.alive.remote()
            except TimeoutError:
                return f"{said} within {allowed_s:g} s"
            except RayError:  # the run itself tells of this
                await asyncio.sleep(self._silent_s)
                return "it was gone"
            allowed_s, said = self._silent_s, "it answered nothing"
            await asyncio.sleep(min(LOOKED_AT_EVERY_S, self._silent_s))

    async def stop(self, job: str) -> None:
        if job in self._running:
            worker, run = self._running[job]
            with suppress(RayError):  # it is gone: so is the run
                await worker.stop.remote(job, run)

    async def kill(self, job: str) -> None:
        if job in self._running:
            self._killed.add(job)
            self._kill(self._running[job][0])

    async def on_cluster(self, deployments: Collection[str]) -> set[str]:
        async with asyncio.timeout(SERVE_WITHIN_S):
            return set(
                await asyncio.to_thread(lambda: [name for name in deployments if find(name)])
            )

    async def release(self, deployments: Collection[str]) -> set[str]:
        async with asyncio.timeout(SERVE_WITHIN_S):
            free = {name for name in deployments if not await self._asked(name)}
            for name in free:
                await asyncio.to_thread(take_off, name)
                self._window_by_name.pop(fleet_place(name), None)
            return free

    async def _asked(self, deployment: str) -> bool:
        """Does anybody ask this model now, such as an experiment that is no job of the service?"""
        place = fleet_place(deployment)
        use = await self._use(await asyncio.to_thread(open_window, place))
        return use is not None and any(use.in_flight_by_group.values())

    async def watch(self, deployments: Collection[str]) -> None:
        """Counts the calls of these models too, which a job is about to host beside the service's
        own.
        """
        for place in map(fleet_place, deployments):
            if place not in self._window_by_name:
                self._window_by_name[place] = await asyncio.to_thread(open_window, place)

    async def in_flight(self) -> Mapping[str, int] | None:
        count_by_job: dict[str, int] = {}
        unreported: set[str] = set()
        for use in await asyncio.gather(
            *(self._use(window) for window in self._window_by_name.values())
        ):
            if use is None:
                return None
            for group, count in use.in_flight_by_group.items():
                if group:
                    count_by_job[group[-1]] = count_by_job.get(group[-1], 0) + count
                if group and not count and use.demand_by_group.get(group):
                    unreported.add(group[-1])  # it has said what it wants, and sends it now
        return {job: count for job, count in count_by_job.items() if job not in unreported}

    async def _use(self, window: Any) -> Use | None:
        """None where the window says nothing now."""
        with suppress(RayError, TimeoutError):
            async with asyncio.timeout(ASKED_WITHIN_S):
                use: Use = await window.use.remote()
            return use
        return None

    def _free(self, worker: Any, usable: bool) -> None:
        """For the next job; one that has had many gives back what has gathered in it."""
        if usable and self._jobs_by_worker[worker] < MOST_JOBS:
            self._idle.append(worker)
        else:
            self._jobs_by_worker.pop(worker, None)
            self._kill(worker)

    def _new(self) -> Any:
        options = lasting(open_folder(self._service.storage)) | {
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 4,
        }
        return (
            ray.remote(Worker).options(**{**options, "namespace": NAMESPACE}).remote(self._service)
        )


async def _awaited(answer: Awaitable[T]) -> T:
    """As a coroutine, which a reference of Ray is not."""
    return await answer
