"""Models that run on the cluster for jobs only, beside the service's own.

They are released when the last job that uses them is over. Which job uses which model is in the
jobs' states, so that the next controller knows it too. For one event loop.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from cluster.service.core.worker_pool import WorkerPool
from cluster.service.jobs.job_table import JobTable
from cluster.service.jobs.persistence import StateSaver
from cluster.service.jobs.state_machine import JobStateMachine
from optimizer.errors import StorageError


class HostedModels:
    """The models that the jobs of a job table host."""

    def __init__(self, job_table: JobTable, worker_pool: WorkerPool, saver: StateSaver) -> None:
        self._job_table = job_table
        self._worker_pool = worker_pool
        self._saver = saver
        self._changing = asyncio.Lock()

    async def claim(self, machine: JobStateMachine, deployments: Sequence[str]) -> None:
        """Record which models a job is about to host.

        A model that runs already, and was not hosted for a job, belongs to somebody else and is
        left alone when the job is over.

        Args:
            machine: The job.
            deployments: The names of the deployments that it will use.
        """
        async with self._changing:  # none of them is released in this moment
            known = {
                name for other in self._job_table.machines.values() for name in other.state.hosted
            }
            foreign = await self._worker_pool.on_cluster(set(deployments) - known)
            machine.state.hosted = [name for name in deployments if name not in foreign]
            with suppress(StorageError):  # it is saved again by the controller's rounds
                await self._saver.save(machine)

    async def release(self) -> None:
        """Take models off the cluster whose jobs are all over."""
        over = [
            machine
            for machine in self._job_table.machines.values()
            if machine.state.over and machine.state.hosted
        ]
        if not over:
            return
        async with self._changing:
            used = {
                name
                for machine in self._job_table.machines.values()
                if not machine.state.over
                for name in machine.state.hosted
            }
            unused = {name for machine in over for name in machine.state.hosted} - used
            gone = used | (await self._worker_pool.release(unused) if unused else set())
            for machine in over:
                if machine.state.over:  # it may have been resumed meanwhile
                    machine.state.hosted = [
                        name for name in machine.state.hosted if name not in gone
                    ]
                    machine.dirty = True
