"""Models that run on the cluster for jobs' sake, beside the service's own: released when the last job that uses them is over.

Who uses them stands in the jobs' states, so that it is known to the next keeper too. For one event loop.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from cluster.service.core.job_record import Crew
from cluster.service.jobs.job_table import Roster
from cluster.service.jobs.persistence import Saving
from cluster.service.jobs.state_machine import Desk
from optimizer.errors import StorageError


class Hosting:
    """The models of all jobs of a roster."""

    def __init__(self, roster: Roster, crew: Crew, saving: Saving) -> None:
        self._roster = roster
        self._crew = crew
        self._saving = saving
        self._changing = asyncio.Lock()

    async def claim(self, desk: Desk, deployments: Sequence[str]) -> None:
        """Takes down which models a job is about to host. What runs already and was hosted for no job is somebody else's, and
        stays when the job is over."""
        async with self._changing:  # none of them is released in this moment
            known = {name for other in self._roster.desks.values() for name in other.state.hosted}
            foreign = await self._crew.on_cluster(set(deployments) - known)
            desk.state.hosted = [name for name in deployments if name not in foreign]
            with suppress(StorageError):  # it is saved again by the keeper's rounds
                await self._saving.save(desk)

    async def release(self) -> None:
        """Takes off the models of jobs that are over, and that no other job uses."""
        over = [desk for desk in self._roster.desks.values() if desk.state.over and desk.state.hosted]
        if not over:
            return
        async with self._changing:
            used = {name for desk in self._roster.desks.values() if not desk.state.over for name in desk.state.hosted}
            unused = {name for desk in over for name in desk.state.hosted} - used
            gone = used | (await self._crew.release(unused) if unused else set())
            for desk in over:
                if desk.state.over:  # it may have been resumed meanwhile
                    desk.state.hosted = [name for name in desk.state.hosted if name not in gone]
                    desk.dirty = True
