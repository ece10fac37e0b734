"""Models that run on the cluster for jobs' sake, beside the service's own: released when the last
job that uses them is over.

Who uses them stands in the jobs' states, so that it is known to the next controller too. For one
event loop.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from cluster.service.core.job_record import WorkerPool
from cluster.service.jobs.job_table import JobTable
from cluster.service.jobs.persistence import Saving
from cluster.service.jobs.state_machine import JobStateMachine
from optimizer.errors import StorageError


class Hosting:
    """The models of all jobs of a job table."""

    def __init__(self, job_table: JobTable, worker_pool: WorkerPool, saving: Saving) -> None:
        self._job_table = job_table
        self._worker_pool = worker_pool
        self._saving = saving
        self._changing = asyncio.Lock()

    async def claim(self, machine: JobStateMachine, deployments: Sequence[str]) -> None:
        """Takes down which models a job is about to host.

        What runs already and was hosted for no job is somebody else's, and
        stays when the job is over.
        """
        async with self._changing:  # none of them is released in this moment
            known = {
                name for other in self._job_table.machines.values() for name in other.state.hosted
            }
            foreign = await self._worker_pool.on_cluster(set(deployments) - known)
            machine.state.hosted = [name for name in deployments if name not in foreign]
            with suppress(StorageError):  # it is saved again by the controller's rounds
                await self._saving.save(machine)

    async def release(self) -> None:
        """Takes off the models of jobs that are over, and that no other job uses."""
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
