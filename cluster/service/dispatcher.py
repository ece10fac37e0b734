"""The keeper of a service's jobs: the single writer of their state. It queues them, starts them, hears of them, and says so.

Knows the storage, and whoever runs a job only as a Crew: no Ray. For one event loop; all that blocks goes to threads. What it holds
in memory is rebuilt from storage: jobs that ran when it died go to the head of the queue and go on by replay.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from cluster.service.desk import Desk
from cluster.service.job import Crew, Filed, Lost, Outcome, State, Work, expect_cancellable, expect_resumable
from cluster.service.news import News
from cluster.service.objects import Event, Optimization
from cluster.service.roster import Roster
from cluster.service.settings import QuotaSettings
from cluster.service.store import Store
from optimizer.errors import PromptrayError, StorageError
from serving.ledger.lock import WAIT_S

UNLIMITED = QuotaSettings()
SAVE_EVERY_S = 1.0
LOST_WITHOUT_PROGRESS = 3
"""Processes that a job may lose in a row without getting any further [ours]."""
AGAIN_S = 0.5
"""Before a lost job is started again: what its process had is being taken down."""


class Dispatcher:
    """`open` it once before all else. Raises StorageError where the storage is another's."""

    def __init__(
        self, storage: str, running: int, crew: Crew, default_limits: QuotaSettings = UNLIMITED,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`lost` is called when another has taken the storage, and nothing can be kept any more."""
        self._lost = lost
        self._store = Store(storage)
        self._places = running
        self._crew = crew
        self._default = default_limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._filing = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._turns = 0

    async def open(self, wait_s: float = WAIT_S) -> None:
        """Takes the storage and goes on where the last keeper stopped."""
        self.roster = await asyncio.to_thread(Roster, self._store, self._tell, self._default, wait_s)
        for filed, state, events in await asyncio.to_thread(self.roster.load):
            self.roster.put(filed, state, events)
        for desk in self.roster.desks.values():
            if desk.mend():
                await self._settled(desk)
        self._turns = self.roster.last_turn
        self._spawn(self._look_around())
        self._fill()

    async def close(self) -> None:
        """Stops attending and gives the storage back; runs that are under way are the crew's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.roster.held.release()

    async def create(self, filed: Filed, limits: QuotaSettings) -> Optimization:
        """Files a job that was checked. Its number is given here. The same id, or the same key of an owner, is the same job."""
        roster, owner = self.roster, filed.owner
        roster.limits[owner] = limits
        async with self._filing:
            if known := roster.same_as(filed):
                return roster.shown(known)
            roster.quotas.expect_room(owner, limits, roster.now_of(owner))
            filed = replace(filed, number=roster.next_number)
            await asyncio.to_thread(roster.file, filed)
            desk = roster.put(filed, State(place=roster.last_place + 1), [])
            desk.say_queued()
        await desk.log.durable()
        self._fill()
        return roster.shown(desk)

    def get(self, id: str) -> Optimization:
        return self.roster.shown(self.roster.desk(id))

    def jobs(self) -> list[Optimization]:
        """All, the newest first."""
        place = self.roster.positions()
        return [self.roster.shown(desk, place) for desk in reversed(self.roster.desks.values())]

    async def cancel(self, id: str) -> Optimization:
        """Raises Conflict where the job is over."""
        desk = self.roster.desk(id)
        expect_cancellable(id, desk.state.status)
        if desk.state.status != "cancelling":
            desk.cancel()
            await self._settled(desk)
            await self._crew.stop(id)
        return self.roster.shown(desk)

    async def resume(self, id: str, limits: QuotaSettings) -> Optimization:
        """Raises Conflict, OverQuota."""
        roster, desk = self.roster, self.roster.desk(id)
        owner = desk.filed.owner
        roster.limits[owner] = limits
        async with self._filing:
            expect_resumable(id, desk.state.status)
            roster.quotas.expect_room(owner, limits, roster.now_of(owner))
            if desk.log.forgotten:
                desk.log.remember(await asyncio.to_thread(self._store.events, id))
            roster.aside.add(id)
            try:
                desk.resume(roster.last_place + 1)
                await self._save(desk)
                desk.say_resumed()
            finally:
                roster.aside.discard(id)
        await self._settled(desk)
        self._fill()
        return roster.shown(desk)

    def use(self, owner: str) -> dict[str, Any]:
        """The fields of objects.Quota that tell of use."""
        calls, money = self.roster.quotas.of(owner)
        return {"jobs_now": self.roster.now_of(owner), "calls_today": calls, "money_today": money}

    async def news(self, after_by_job: Mapping[str, int], timeout_s: float) -> dict[str, list[Event]]:
        """Events behind those that are known of some jobs, as soon as there are any; {} after a while without."""
        ends_at = time.monotonic() + timeout_s
        while True:
            wake = self._news
            found = {
                job: await self._since(desk, after) for job, after in after_by_job.items()
                if (desk := self.roster.desks.get(job)) and desk.log.last_id > after}
            left = ends_at - time.monotonic()
            if found or left <= 0:
                return found
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), left)

    async def _since(self, desk: Desk, after: int) -> list[Event]:
        held = desk.log.since(after)
        return await asyncio.to_thread(self._store.events, desk.filed.id, after) if held is None else held

    def report(self, job: str, run: int, news: News) -> None:
        """What a run tells. One that is not the job's last is not heard."""
        desk = self.roster.desks.get(job)
        if desk and desk.state.runs == run and job in self.roster.attended:
            desk.take(news)

    def _tell(self) -> None:
        wake, self._news = self._news, asyncio.Event()
        wake.set()

    def _fill(self) -> None:
        """Starts as many jobs as there is room for."""
        for job in self.roster.to_start(self._places):
            self.roster.attended.add(job)
            self._spawn(self._attend(self.roster.desks[job]))

    async def _attend(self, desk: Desk) -> None:
        """One job, from its start to its end, however many processes it takes."""
        lost, over = 0, desk.state.over  # it may have been cancelled in this very moment
        try:
            while not over:
                self._turns += 1
                desk.start(self._turns)
                await self._settled(desk)
                steps = desk.steps
                try:
                    desk.settle(await self._run(desk))
                except Lost as problem:
                    lost = lost + 1 if desk.steps == steps else 1
                    self._after_loss(desk, lost, str(problem))
                over = desk.state.over  # looked at now: it may be resumed as soon as its end is told
                desk.pause_clock()
                await self._settled(desk)
                await asyncio.sleep(0 if over else AGAIN_S)
        finally:
            self.roster.attended.discard(desk.filed.id)
            self._fill()

    async def _run(self, desk: Desk) -> Outcome:
        """One that was cancelled while it was being started is not run."""
        return Outcome("stopped") if desk.state.status == "cancelling" else await self._crew.run(Work(desk.filed, desk.state.runs))

    def _after_loss(self, desk: Desk, lost: int, reason: str) -> None:
        if desk.state.status == "cancelling":
            desk.settle(Outcome("stopped"))
        elif lost >= LOST_WITHOUT_PROGRESS:
            desk.fail("ProcessLost", f"The process of this job was lost {lost} times without getting any further ({reason}).")

    async def _settled(self, desk: Desk) -> None:
        """Events first, then the state: it could be mended by them, and is saved later where the storage is away."""
        await desk.log.durable()
        desk.shown = desk.state.status
        try:
            await self._save(desk)
        except StorageError:
            desk.dirty = True

    async def _save(self, desk: Desk) -> None:
        desk.dirty = False
        desk.state.last_event = desk.log.last_id
        await self._write(partial(self._store.save_state, desk.filed.id, asdict(desk.state)))

    async def _write(self, write: partial[None]) -> None:
        async with self._saving:
            await asyncio.to_thread(self.roster.held.check)
            await asyncio.to_thread(write)

    async def _look_around(self) -> None:
        """What has changed is saved, what is under way is counted, and a new day lets waiting jobs start."""
        roster = self.roster
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            try:
                await asyncio.to_thread(roster.held.check)
            except StorageError:
                self._lost()
                return
            roster.in_flight = await self._crew.in_flight()
            for desk in [desk for desk in roster.desks.values() if desk.dirty]:
                await self._settled(desk)
            with suppress(PromptrayError):  # a storage that is away for a while; it is tried again
                await self._save_usage()
            self._fill()

    async def _save_usage(self) -> None:
        quotas = self.roster.quotas
        if quotas.dirty:
            copy = {owner: dict(used) for owner, used in quotas.used.items()}
            await self._write(partial(self._store.save_usage, quotas.day, copy))
            quotas.dirty = quotas.used != copy

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
