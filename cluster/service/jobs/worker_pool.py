"""The processes that run jobs, on Ray: started when there is work, and used for job after job.

One that dies or does not answer is replaced. Knows Ray, and of a job only what a run of it is.
Belongs to the controller's process, and ends with it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from cluster.experiment.partial_results import leave_results
from cluster.service.core.settings import ServiceSettings
from cluster.service.core.worker_pool import Lost, Outcome, Work
from cluster.service.jobs.worker import Worker
from cluster.service.read_models.settings import shown_settings
from cluster.service.stores.job_store import Store
from cluster.trial.result import Status
from optimizer.errors import PromptrayError
from serving.concurrency.fair_share import Use
from serving.concurrency.gate_actor import deployment_key, endpoint_actor
from serving.hosting.deployment import deployment_name, find, undeploy
from serving.models import load_engine
from serving.runtime.actors import NAMESPACE, lasting
from serving.storage import open_folder

ASKED_WITHIN_S = 2.0
"""Seconds that a gate may take to report its calls in flight [ours]."""
STARTS_WITHIN_S = 300.0
"""Seconds that a process may take to start before it is killed.

A busy cluster may take minutes to start one [ours].
"""
LOOKED_AT_EVERY_S = 10.0
"""The pause between two checks that a process is alive [ours]."""
SILENT_S = 120.0
"""Seconds for which a process may not answer, while a job runs in it, before it is killed [ours].
"""
SERVE_WITHIN_S = 60.0
"""Seconds that a call to Serve may take [ours]."""
MOST_JOBS = 50
"""Jobs that one process runs before it is replaced [ours]."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class RayWorkerPool:
    """A job_record.WorkerPool of processes on Ray."""

    def __init__(
        self,
        service: ServiceSettings,
        controller: Any,
        kill: Callable[[Any], None] = ray.kill,
        starts_within_s: float = STARTS_WITHIN_S,
        silent_s: float = SILENT_S,
    ) -> None:
        """Wire the pool up; no process is started yet.

        Args:
            service: The service's settings.
            controller: The handle of the actor that runs report to.
            kill: Kills an actor.
            starts_within_s: See STARTS_WITHIN_S.
            silent_s: See SILENT_S.
        """
        self._service = service
        self._kill = kill
        self._starts_within_s, self._silent_s = starts_within_s, silent_s
        self._controller = controller
        self._idle: list[Any] = []
        self._jobs_by_worker: dict[Any, int] = {}
        self._running: dict[str, tuple[Any, int]] = {}
        """Job -> the worker that has it, and the number of the run."""
        self._killed: set[str] = set()
        """Jobs whose process was killed, as they were cancelled."""
        self._gate_by_name: dict[str, Any] = {}

    async def host(self) -> None:
        """Host the models on this cluster where they do not run yet, and open their gates.

        Raises:
            EndpointError: A model does not start.
            UserError: A model cannot be hosted with these settings.
        """
        await asyncio.to_thread(self._host)

    def _host(self) -> None:
        from serving.hosting.deployment import host

        if self._service.served:
            host(self._service.served, load_engine)
        for model in self._service.parsed:
            place = deployment_key(deployment_name(model)) if model.served else model.base_url
            self._gate_by_name[place] = endpoint_actor(place)

    async def run(self, work: Work) -> Outcome:
        """Run a job in a process of its own until the end.

        A process that is lost, or given up, is killed: two processes of one job would write to the
        same folder.

        Raises:
            Lost: The process is gone, or does not answer.
        """
        # A process that has run a job before has its imports already, which take seconds.
        worker = self._idle.pop() if self._idle else self._new()
        self._jobs_by_worker[worker] = self._jobs_by_worker.get(worker, 0) + 1
        self._running[work.filed.id] = worker, work.run
        usable = False
        try:
            outcome = await self._outcome(worker, work)
            usable = True
        # The run has raised, and its process lives on.
        except RayTaskError as problem:
            usable = True
            if isinstance(problem.cause, PromptrayError):
                outcome = Outcome(
                    "failed", code=type(problem.cause).__name__, message=str(problem.cause)
                )
            else:
                cause = f"{type(problem.cause).__name__}: {problem.cause}"
                outcome = Outcome(
                    "failed",
                    code="InternalError",
                    message=f"The job broke on a fault of the service ({cause}).",
                )
        except RayError as problem:
            raise Lost(type(problem).__name__) from None
        finally:
            self._running.pop(work.filed.id, None)
            self._free(worker, usable)
            # Only then: a run that ends by itself writes its results in its own process.
            if not usable:
                await self._leave(work.filed.id)
        return outcome

    async def _leave(self, job: str) -> None:
        """Write what the run had found, in place of its process.

        A fault in this is only logged: it is no fault of the job.
        """
        cut: Status = "cancelled" if job in self._killed else "stopped"
        # The next run of this job starts with a clean slate.
        self._killed.discard(job)
        try:
            await asyncio.to_thread(
                leave_results, Store(self._service.storage).results(job), cut, shown_settings
            )
        except Exception as problem:  # noqa: BLE001 - the run's own end is what counts
            _log.warning("What %s had found cannot be written: %s", job, problem)

    async def _outcome(self, worker: Any, work: Work) -> Outcome:
        """Return how the run has ended.

        Raises:
            Lost: Its process has not answered for too long.
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
        """Wait until the process has not answered for too long, and return the reason."""
        allowed_s, reason = self._starts_within_s, "it did not start"
        while True:
            try:
                async with asyncio.timeout(
                    allowed_s
                ):  # not wait_for, in which a cancellation may be lost
                    await worker.alive.remote()
            except TimeoutError:
                return f"{reason} within {allowed_s:g} s"
            except RayError:  # the run itself raises this
                # The run gets the time to raise its own error, which says more.
                await asyncio.sleep(self._silent_s)
                return "it was gone"
            allowed_s, reason = self._silent_s, "it did not answer"
            await asyncio.sleep(min(LOOKED_AT_EVERY_S, self._silent_s))

    async def stop(self, job: str) -> None:
        """Ask the run of a job to end soon."""
        if job in self._running:
            worker, run = self._running[job]
            with suppress(RayError):  # it is gone: so is the run
                await worker.stop.remote(job, run)

    async def kill(self, job: str) -> None:
        """Kill the process that runs a job."""
        if job in self._running:
            self._killed.add(job)
            self._kill(self._running[job][0])

    async def on_cluster(self, deployments: Collection[str]) -> set[str]:
        """Return which of some deployments run on the cluster."""
        async with asyncio.timeout(SERVE_WITHIN_S):
            return set(
                await asyncio.to_thread(lambda: [name for name in deployments if find(name)])
            )

    async def release(self, deployments: Collection[str]) -> set[str]:
        """Take deployments off the cluster that nobody calls now.

        Returns:
            Those that are off it.
        """
        async with asyncio.timeout(SERVE_WITHIN_S):
            free = {name for name in deployments if not await self._is_called(name)}
            for name in free:
                await asyncio.to_thread(undeploy, name)
                self._gate_by_name.pop(deployment_key(name), None)
            return free

    async def _is_called(self, deployment: str) -> bool:
        """Return whether a model is being called, such as by an experiment outside the service."""
        place = deployment_key(deployment)
        use = await self._use(await asyncio.to_thread(endpoint_actor, place))
        return use is not None and any(use.in_flight_by_group.values())

    async def watch(self, deployments: Collection[str]) -> None:
        """Count the calls of these models too, which a job is about to host."""
        for place in map(deployment_key, deployments):
            if place not in self._gate_by_name:
                self._gate_by_name[place] = await asyncio.to_thread(endpoint_actor, place)

    async def in_flight(self) -> Mapping[str, int] | None:
        """Return job -> calls that are under way; None if a gate does not answer."""
        count_by_job: dict[str, int] = {}
        unreported: set[str] = set()
        for use in await asyncio.gather(*(self._use(gate) for gate in self._gate_by_name.values())):
            if use is None:
                return None
            for group, count in use.in_flight_by_group.items():
                if group:
                    count_by_job[group[-1]] = count_by_job.get(group[-1], 0) + count
                # It has announced calls and reported none: how many are under way is not known yet.
                if group and not count and use.demand_by_group.get(group):
                    unreported.add(group[-1])  # it has announced calls, and sends them now
        return {job: count for job, count in count_by_job.items() if job not in unreported}

    async def _use(self, gate: Any) -> Use | None:
        """Return the use of a gate; None if it does not answer."""
        with suppress(RayError, TimeoutError):
            async with asyncio.timeout(ASKED_WITHIN_S):
                use: Use = await gate.use.remote()
            return use
        return None

    def _free(self, worker: Any, usable: bool) -> None:
        """Keep a worker for the next job; end one that has run many, to free its memory."""
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
    """Return a coroutine for a reference of Ray, which is none."""
    return await answer
