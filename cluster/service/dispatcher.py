"""The keeper of a service's jobs: the single writer of their state. It queues them, starts them, hears of them, and says so.

Knows the storage, and whoever runs a job only as a Crew: no Ray. For one event loop; all that blocks goes to threads. What it holds
in memory is rebuilt from storage: jobs that ran when it died go to the head of the queue and go on by replay.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Protocol

from cluster.service.desk import Desk
from cluster.service.errors import NotFound
from cluster.service.events import EventLog
from cluster.service.job import Filed, Outcome, State, Work, expect_cancellable, expect_resumable, shown
from cluster.service.journal import Journal
from cluster.service.news import News
from cluster.service.objects import Event, Optimization
from cluster.service.queue import Waiting, positions, starts
from cluster.service.quota import Quotas
from cluster.service.settings import QuotaSettings
from cluster.service.store import Store
from optimizer.errors import PromptrayError, StorageError
from serving.ledger.lock import WAIT_S, Hold, hold

UNLIMITED = QuotaSettings()
SAVE_EVERY_S = 1.0
LOST_WITHOUT_PROGRESS = 3
"""Processes that a job may lose in a row without getting any further [ours]."""
AGAIN_S = 0.5
"""Before a lost job is started again: what its process had is being taken down."""


class Lost(Exception):
    """The process that ran the job is gone."""


class Crew(Protocol):
    """Who runs jobs, as many at once as are given to it."""

    async def run(self, work: Work) -> Outcome:
        """Raises Lost."""
        ...

    async def stop(self, job: str) -> None:
        """The run of this job ends soon; one that there is not is no fault."""
        ...

    async def in_flight(self) -> Mapping[str, int]:
        """Job -> calls of models that are under way."""
        ...


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
        self._limits: dict[str, QuotaSettings] = {}
        self._desk_by_job: dict[str, Desk] = {}
        self._job_by_key: dict[tuple[str, str], str] = {}
        self._in_flight: Mapping[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._attended: set[str] = set()
        self._held: set[str] = set()
        """Jobs that are not to be started in this moment."""
        self._news = asyncio.Event()
        self._filing = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._turns = 0

    async def open(self, wait_s: float = WAIT_S) -> None:
        """Takes the storage and goes on where the last keeper stopped."""
        await asyncio.to_thread(self._take, wait_s)
        loaded = await asyncio.to_thread(lambda: [self._load(id) for id in self._store.filed_ids()])
        for filed, state, events in loaded:
            self._put_on_desk(filed, state, events)
        for desk in self._desk_by_job.values():
            desk.mend()
            await self._settled(desk)
        self._turns = max((desk.state.turn for desk in self._desk_by_job.values()), default=0)
        self._spawn(self._look_around())
        self._fill()

    async def close(self) -> None:
        """Stops attending and gives the storage back; runs that are under way are the crew's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hold.release()

    async def create(self, filed: Filed, limits: QuotaSettings) -> Optimization:
        """Files a job that was checked. Its number is given here. The same id, or the same key of an owner, is the same job."""
        self._limits[filed.owner] = limits
        async with self._filing:
            known = self._job_by_key.get((filed.owner, filed.idempotency_key or ""), filed.id)
            if known in self._desk_by_job:
                return self._shown(self._desk_by_job[known])
            own = [desk for desk in self._desk_by_job.values() if desk.filed.owner == filed.owner and not desk.state.over]
            self._quotas.expect_room(filed.owner, limits, len(own))
            filed = Filed(**{**filed.__dict__, "number": len(self._index) + 1})
            await asyncio.to_thread(self._file, filed)
            desk = self._put_on_desk(filed, State(place=self._last_place() + 1), [])
            desk.say_queued()
        await desk.log.durable()
        self._fill()
        return self._shown(desk)

    def get(self, id: str) -> Optimization:
        return self._shown(self._desk(id))

    def jobs(self) -> list[Optimization]:
        """All, the newest first."""
        place = self._positions()
        return [self._shown(desk, place) for desk in reversed(self._desk_by_job.values())]

    async def cancel(self, id: str) -> Optimization:
        """Raises Conflict where the job is over."""
        desk = self._desk(id)
        expect_cancellable(id, desk.state.status)
        if desk.state.status != "cancelling":
            desk.cancel()
            await self._settled(desk)
            await self._crew.stop(id)
        return self._shown(desk)

    async def resume(self, id: str, limits: QuotaSettings) -> Optimization:
        """Raises Conflict, OverQuota."""
        desk = self._desk(id)
        self._limits[desk.filed.owner] = limits
        async with self._filing:
            expect_resumable(id, desk.state.status)
            self._quotas.expect_room(desk.filed.owner, limits, self.use(desk.filed.owner)["jobs_now"])
            if desk.log.forgotten:
                desk.log.remember(await asyncio.to_thread(self._store.events, id))
            self._held.add(id)
            try:
                desk.resume(self._last_place() + 1)
                await self._save(desk)
                desk.say_resumed()
            finally:
                self._held.discard(id)
        await self._settled(desk)
        self._fill()
        return self._shown(desk)

    def use(self, owner: str) -> dict[str, Any]:
        """The fields of objects.Quota that tell of use."""
        calls, money = self._quotas.of(owner)
        now = sum(desk.filed.owner == owner and not desk.state.over for desk in self._desk_by_job.values())
        return {"jobs_now": now, "calls_today": calls, "money_today": money}

    async def news(self, after_by_job: Mapping[str, int], timeout_s: float) -> dict[str, list[Event]]:
        """Events behind those that are known of some jobs, as soon as there are any; {} after a while without."""
        ends_at = time.monotonic() + timeout_s
        while True:
            wake = self._news
            found = {
                job: await self._since(desk, after) for job, after in after_by_job.items()
                if (desk := self._desk_by_job.get(job)) and desk.log.last_id > after}
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
        desk = self._desk_by_job.get(job)
        if desk and desk.state.runs == run and job in self._attended:
            desk.take(news)

    def _take(self, wait_s: float) -> None:
        try:
            self._hold: Hold = hold(self._store.jobs, wait_s)
        except StorageError as problem:
            raise StorageError(f"The service's storage {self._store.place} is in use or unusable: {problem}") from problem
        self._index: Journal = self._store.index()
        self._quotas = Quotas(self._store.usage)

    def _load(self, id: str) -> tuple[Filed, State, list[Event]]:
        state = self._store.state(id)
        return self._store.filed(id), state, [] if state.over else self._store.events(id)

    def _file(self, filed: Filed) -> None:
        self._hold.check()
        self._store.file_request(filed)
        self._index.append([{"id": filed.id}])

    def _put_on_desk(self, filed: Filed, state: State, events: Sequence[Event]) -> Desk:
        journal: list[Journal] = []

        def put(entries: list[dict[str, Any]]) -> None:
            self._hold.check()
            if not journal:
                journal.append(self._store.journal(filed.id))
            journal[0].append(entries)

        desk = Desk(filed, state, EventLog(events, put, self._tell), self._quotas.pay)
        self._desk_by_job[filed.id] = desk
        if filed.idempotency_key:
            self._job_by_key[filed.owner, filed.idempotency_key] = filed.id
        return desk

    def _tell(self) -> None:
        wake, self._news = self._news, asyncio.Event()
        wake.set()

    def _desk(self, id: str) -> Desk:
        if id not in self._desk_by_job:
            raise NotFound(f"There is no job {id!r}.")
        return self._desk_by_job[id]

    def _shown(self, desk: Desk, place: Mapping[str, int] | None = None) -> Optimization:
        id = desk.filed.id
        place = self._positions() if place is None and desk.state.status == "queued" else place or {}
        return shown(
            desk.filed, replace(desk.state, status=desk.shown), desk.log.last_id, place.get(id), self._in_flight.get(id, 0),
            desk.running_s)

    def _line(self) -> tuple[list[Waiting], list[str], dict[str, int], set[str]]:
        desks = self._desk_by_job
        waiting = [
            Waiting(id, desk.filed.owner, desk.state.place or desk.filed.number) for id, desk in desks.items()
            if desk.state.status == "queued" and id not in self._attended and id not in self._held]
        last_turn: dict[str, int] = {}
        for desk in desks.values():
            if desk.state.turn:
                last_turn[desk.filed.owner] = max(desk.state.turn, last_turn.get(desk.filed.owner, 0))
        owners = {one.owner for one in waiting}
        barred = {owner for owner in owners if self._quotas.spent_out(owner, self._limits.get(owner, self._default))}
        return waiting, [desks[id].filed.owner for id in self._attended], last_turn, barred

    def _last_place(self) -> int:
        return max((desk.state.place or desk.filed.number for desk in self._desk_by_job.values()), default=0)

    def _positions(self) -> dict[str, int]:
        return positions(*self._line())

    def _fill(self) -> None:
        """Starts as many jobs as there is room for."""
        waiting, running, last_turn, barred = self._line()
        for job in starts(waiting, running, self._places, last_turn, barred):
            self._attended.add(job)
            self._spawn(self._attend(self._desk_by_job[job]))

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
            self._attended.discard(desk.filed.id)
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
        """Events first, then the state: it could be mended by them."""
        await desk.log.durable()
        desk.shown = desk.state.status
        await self._save(desk)

    async def _save(self, desk: Desk) -> None:
        desk.dirty = False
        desk.state.last_event = desk.log.last_id
        await self._write(partial(self._store.save_state, desk.filed.id, asdict(desk.state)))

    async def _write(self, write: partial[None]) -> None:
        async with self._saving:
            await asyncio.to_thread(self._hold.check)
            await asyncio.to_thread(write)

    async def _look_around(self) -> None:
        """What has changed is saved, what is under way is counted, and a new day lets waiting jobs start."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            try:
                await asyncio.to_thread(self._hold.check)
            except StorageError:
                self._lost()
                return
            self._in_flight = await self._crew.in_flight()
            with suppress(PromptrayError):  # a storage that is away for a while; it is tried again
                for desk in [desk for desk in self._desk_by_job.values() if desk.dirty]:
                    await self._settled(desk)
                if self._quotas.dirty:
                    self._quotas.dirty = False
                    copy = {owner: dict(used) for owner, used in self._quotas.used.items()}
                    await self._write(partial(self._store.save_usage, self._quotas.day, copy))
            self._fill()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
