"""How jobs and the use of quotas come on storage: events first, then the state.

Knows state machines, and not what jobs do.

For one event loop, and the one writer of a storage.
"""

import asyncio
from dataclasses import asdict
from functools import partial

from cluster.service.core.settings import QuotaSettings
from cluster.service.jobs.event_log import LogBroken
from cluster.service.jobs.job_table import JobTable
from cluster.service.jobs.state_machine import JobStateMachine
from optimizer.errors import StorageError


class Saving:
    """What is saved goes to the storage that the job table holds, one thing at a time.

    Raises StorageError where it does not say
    otherwise.
    """

    def __init__(self, job_table: JobTable) -> None:
        self._job_table = job_table
        self._writing = asyncio.Lock()

    async def settled(self, machine: JobStateMachine) -> None:
        """Events first, then the state: it could be mended by them, and is saved later where the
        storage is away. Raises LogBroken
        where the job is not over: then it must be.
        """
        try:
            await machine.log.durable()
        except LogBroken:
            if not machine.state.over:
                raise
        machine.shown = machine.state.status
        try:
            await self.save(machine)
        except StorageError:
            return  # by save_dirty

    async def save(self, machine: JobStateMachine) -> None:
        """The state of a job. Where that fails, it is left for save_dirty."""
        machine.dirty = False
        machine.state.last_event = machine.log.last_id
        try:
            await self._write(
                partial(self._job_table.store.save_state, machine.filed.id, asdict(machine.state))
            )
        except BaseException:
            machine.dirty = True
            raise

    async def save_dirty(self) -> None:
        """What has changed; a job whose events are still being written is saved behind them.

        One that cannot be saved does not hold
        up the others.
        """
        problems: list[Exception] = []
        for machine in [
            machine
            for machine in self._job_table.machines.values()
            if machine.dirty and not machine.log.pending
        ]:
            try:
                machine.shown = machine.state.status
                await self.save(machine)
            except Exception as problem:  # noqa: BLE001 - raised when all were tried
                problems.append(problem)
        if problems:
            raise problems[0]

    async def save_limits(self, owner: str, limits: QuotaSettings) -> None:
        """The quota of an owner: a controller that comes after this one holds it, too."""
        known = self._job_table.limits
        if known.get(owner) != limits:
            copy = {**known, owner: limits}
            await self._write(
                partial(
                    self._job_table.store.save_limits,
                    {one: its.model_dump(mode="json") for one, its in copy.items()},
                )
            )
            known[owner] = limits

    async def save_usage(self) -> None:
        """What owners have used today."""
        quotas = self._job_table.quotas
        if quotas.dirty:
            copy = {owner: dict(used) for owner, used in quotas.used.items()}
            await self._write(partial(self._job_table.store.save_usage, quotas.day, copy))
            quotas.dirty = quotas.used != copy

    async def _write(self, write: partial[None]) -> None:
        async with self._writing:
            await asyncio.to_thread(self._job_table.held.check)
            await asyncio.to_thread(write)
