"""How jobs and the use of quotas come on storage: events first, then the state. Knows desks, and not what jobs do.

For one event loop, and the one writer of a storage.
"""

import asyncio
from dataclasses import asdict
from functools import partial

from cluster.service.core.settings import QuotaSettings
from cluster.service.jobs.event_log import LogBroken
from cluster.service.jobs.job_table import Roster
from cluster.service.jobs.state_machine import Desk
from optimizer.errors import StorageError


class Saving:
    """What is saved goes to the storage that the roster holds, one thing at a time. Raises StorageError where it does not say
    otherwise."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._writing = asyncio.Lock()

    async def settled(self, desk: Desk) -> None:
        """Events first, then the state: it could be mended by them, and is saved later where the storage is away. Raises LogBroken
        where the job is not over: then it must be."""
        try:
            await desk.log.durable()
        except LogBroken:
            if not desk.state.over:
                raise
        desk.shown = desk.state.status
        try:
            await self.save(desk)
        except StorageError:
            return  # by save_dirty

    async def save(self, desk: Desk) -> None:
        """The state of a job. Where that fails, it is left for save_dirty."""
        desk.dirty = False
        desk.state.last_event = desk.log.last_id
        try:
            await self._write(partial(self._roster.store.save_state, desk.filed.id, asdict(desk.state)))
        except BaseException:
            desk.dirty = True
            raise

    async def save_dirty(self) -> None:
        """What has changed; a job whose events are still being written is saved behind them. One that cannot be saved does not hold
        up the others."""
        problems: list[Exception] = []
        for desk in [desk for desk in self._roster.desks.values() if desk.dirty and not desk.log.pending]:
            try:
                desk.shown = desk.state.status
                await self.save(desk)
            except Exception as problem:  # noqa: BLE001 - raised when all were tried
                problems.append(problem)
        if problems:
            raise problems[0]

    async def save_limits(self, owner: str, limits: QuotaSettings) -> None:
        """The quota of an owner: a keeper that comes after this one holds it, too."""
        known = self._roster.limits
        if known.get(owner) != limits:
            copy = {**known, owner: limits}
            await self._write(partial(
                self._roster.store.save_limits, {one: its.model_dump(mode="json") for one, its in copy.items()}))
            known[owner] = limits

    async def save_usage(self) -> None:
        """What owners have used today."""
        quotas = self._roster.quotas
        if quotas.dirty:
            copy = {owner: dict(used) for owner, used in quotas.used.items()}
            await self._write(partial(self._roster.store.save_usage, quotas.day, copy))
            quotas.dirty = quotas.used != copy

    async def _write(self, write: partial[None]) -> None:
        async with self._writing:
            await asyncio.to_thread(self._roster.held.check)
            await asyncio.to_thread(write)
