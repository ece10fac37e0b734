"""Saves the states of jobs and the use of quotas: events first, then the state.

Knows state machines, and not what jobs do. For one event loop, and the one writer of a storage.
"""

import asyncio
from dataclasses import asdict
from functools import partial

from cluster.service.core.settings import QuotaSettings
from cluster.service.jobs.event_log import LogBroken
from cluster.service.jobs.job_table import JobTable
from cluster.service.jobs.state_machine import JobStateMachine
from optimizer.errors import StorageError
from serving.runtime.supervision import Supervisor


class StateSaver:
    """Writes to the storage that the job table holds, one thing at a time.

    Its methods raise StorageError if the storage does not answer, unless they say otherwise.
    """

    def __init__(self, job_table: JobTable, tasks: Supervisor) -> None:
        self._job_table = job_table
        self._tasks = tasks
        self._writing = asyncio.Lock()

    async def flush(self, machine: JobStateMachine) -> None:
        """Wait until a job's events are durable, make its status public, and save its state.

        A state that cannot be saved is left for save_dirty: it could be restored from the events.

        Raises:
            LogBroken: The events cannot be written and the job is not over: it has to be ended.
        """
        try:
            await machine.log.durable()
        except LogBroken:
            # A job that is over may lack its last events: its state says how it ended.
            if not machine.state.over:
                raise
        machine.public_status = machine.state.status
        try:
            await self.save(machine)
        except StorageError:
            return  # save_dirty does it later

    async def save(self, machine: JobStateMachine) -> None:
        """Save the state of a job; on an error it is left for save_dirty."""
        # Before the write: an update that comes meanwhile sets it again.
        machine.dirty = False
        # With it `repair` can tell an event that is newer than the state from one that led to it.
        machine.state.last_event = machine.log.last_id
        try:
            await self._write(
                partial(self._job_table.store.save_state, machine.filed.id, asdict(machine.state))
            )
        except BaseException:
            machine.dirty = True
            raise

    async def save_dirty(self) -> None:
        """Save the states that have changed.

        A job whose events are still being written comes later. One that cannot be saved does not
        keep the others from being saved; its error is raised at the end.
        """
        problems: list[Exception] = []
        for machine in [
            machine
            for machine in self._job_table.machines.values()
            # The state must never be ahead of the events that explain it.
            if machine.dirty and not machine.log.pending
        ]:
            try:
                machine.public_status = machine.state.status
                await self.save(machine)
            except Exception as problem:  # noqa: BLE001 - raised when all were tried
                problems.append(problem)
        if problems:
            raise problems[0]

    async def save_limits(self, owner: str, limits: QuotaSettings) -> None:
        """Save the quota of an owner, so that the next controller applies it too."""
        known = self._job_table.limits
        if known.get(owner) != limits:
            # In memory only when it is on storage: a quota must not hold for this process alone.
            copy = {**known, owner: limits}
            await self._write(
                partial(
                    self._job_table.store.save_limits,
                    {one: its.model_dump(mode="json") for one, its in copy.items()},
                )
            )
            known[owner] = limits

    async def save_usage(self) -> None:
        """Save what owners have used today."""
        quotas = self._job_table.quotas
        if quotas.dirty:
            copy = {owner: dict(used) for owner, used in quotas.used.items()}
            await self._write(partial(self._job_table.store.save_usage, quotas.day, copy))
            # Something may have been used while the copy was written.
            quotas.dirty = quotas.used != copy

    async def _write(self, write: partial[None]) -> None:
        # A write goes on in its thread when its caller is cancelled, and the next one waits for it.
        await self._tasks.finish(self._write_in_turn(write))

    async def _write_in_turn(self, write: partial[None]) -> None:
        async with self._writing:
            # Each time: a process that has lost the storage must not overwrite what its successor
            # writes.
            await asyncio.to_thread(self._job_table.held.check)
            await asyncio.to_thread(write)
