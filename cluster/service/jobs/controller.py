"""The controller of a service's jobs: the single writer of their state.

It queues them, starts them, hears of them, and says so.

Knows the storage, and whoever runs a job only as a Worker pool: no Ray. For one event loop; all
that blocks goes to threads. What it holds in memory is rebuilt from storage: jobs that ran when it
died go to the head of the queue and go on by replay.

Nothing waits for ever or dies unseen: the `_rounds` are supervised, each by itself; a fault on a
job's way is its end, and said.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from cluster.service.access.owner_budgets import OwnerBudgets
from cluster.service.core.errors import Damaged
from cluster.service.core.job_record import (
    Filed,
    Lost,
    Outcome,
    State,
    Work,
    WorkerPool,
    expect_cancellable,
    expect_resumable,
)
from cluster.service.core.settings import QuotaSettings
from cluster.service.jobs.event_log import LogBroken
from cluster.service.jobs.hosted_models import Hosting
from cluster.service.jobs.job_table import JobTable
from cluster.service.jobs.persistence import Saving
from cluster.service.jobs.run_updates import RunUpdates
from cluster.service.jobs.state_machine import JobStateMachine
from cluster.service.schemas import Event, Optimization
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, PromptrayError, StorageError
from serving.ledger.writer_lock import WAIT_S
from serving.runtime.supervision import Pauses, Supervisor, told
from serving.runtime.wakeup import Wakeup

UNLIMITED = QuotaSettings()
SAVE_EVERY_S = 1.0
LOST_WITHOUT_PROGRESS = 3
"""Processes that a job may lose in a row without getting any further [ours]."""
AGAIN_S = 1.0
"""Behind a lost run: what its process had, such as the ledger's, is being taken down, and the next
run is not to find it.
"""
STOPS_WITHIN_S, ENDS_WITHIN_S = 60.0, 20.0
"""From the wish to cancel a job, its run is ended with its process; then, where nothing is heard
even so, given up [ours].
"""
ASKED_AGAIN_S = 5.0
MENDED_WITHIN_S = 10.0
"""At the start, events that a crash has left out; where the storage is slower, they come later
[ours].
"""


class JobController:
    """`open` it once before all else. Raises StorageError where the storage is another's."""

    def __init__(
        self,
        storage: str,
        running: int,
        worker_pool: WorkerPool,
        default_limits: QuotaSettings = UNLIMITED,
        lost: Callable[[], None] = lambda: None,
        pauses: Pauses | None = None,
        stops_within_s: float = STOPS_WITHIN_S,
        ends_within_s: float = ENDS_WITHIN_S,
    ) -> None:
        """`lost` is called when another has taken the storage, and nothing can be kept any more."""
        self._lost = lost
        self._store = Store(storage)
        self._places = running
        self._worker_pool = worker_pool
        self._default = default_limits
        self._stops_within_s, self._ends_within_s = stops_within_s, ends_within_s
        self._tasks = Supervisor("the controller of jobs", pauses)
        self._run_by_job: dict[str, asyncio.Future[Outcome]] = {}
        self._news = Wakeup()
        self._filing = asyncio.Lock()
        self._closing = False
        self._turns = 0

    async def open(self, wait_s: float = WAIT_S) -> None:
        """Takes the storage and goes on where the last controller stopped; jobs whose files are
        damaged are set aside. Where it raises,
        the storage is given back.
        """
        self.job_table = await asyncio.to_thread(
            JobTable, self._store, self._news.wake, self._default, wait_s, self._tasks
        )
        try:
            for filed, state, events in await asyncio.to_thread(self.job_table.load):
                self.job_table.put(filed, state, events)
            mended = [
                machine
                for machine in list(self.job_table.machines.values())
                if self.job_table.mended(machine)
            ]
        except BaseException:
            self.job_table.held.release()
            raise
        self._turns = self.job_table.last_turn
        self._saving = Saving(self.job_table)
        self._hosting = Hosting(self.job_table, self._worker_pool, self._saving)
        self.budgets = OwnerBudgets(
            self._store.usage_folder,
            self.job_table.quotas,
            self.job_table.limits_of,
            self.job_table.meet_quota,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(MENDED_WITHIN_S):
                # What one of them raises is raised again when it is attended.
                await asyncio.gather(*map(self._saving.settled, mended), return_exceptions=True)
        for name, step in self._rounds.items():
            self._tasks.every(name, SAVE_EVERY_S, step)
        self._fill()

    async def close(self) -> None:
        """Stops attending and gives the storage back; runs that are under way are the worker
        pool's.
        """
        self._closing = True
        await self._tasks.close()
        self.job_table.held.release()

    def faults(self, least: int = 1) -> list[str]:
        """What does not get on now, a sentence each; see Supervisor."""
        return self._tasks.faults(least)

    async def create(self, filed: Filed, limits: QuotaSettings) -> Optimization:
        """Files a job that was checked.

        Its number is given here. The same id, or the same key of an owner, is the same job.
        """
        job_table, owner = self.job_table, filed.owner
        await self.limit(owner, limits)
        async with self._filing:
            if known := job_table.same_as(filed):
                return job_table.shown(known)
            job_table.quotas.expect_room(owner, limits, job_table.now_of(owner))
            filed = replace(filed, number=job_table.next_number)
            await asyncio.to_thread(job_table.file, filed)
            machine = job_table.put(filed, State(place=job_table.last_place + 1), [])
            machine.say_queued()
        with suppress(LogBroken):  # the job is filed: whoever attends it finds this out too
            await machine.log.durable()
        self._fill()
        return job_table.shown(machine)

    def get(self, id: str) -> Optimization:
        return self.job_table.shown(self.job_table.any_of(id))

    def jobs(self) -> list[Optimization]:
        """All, the newest first."""
        place = self.job_table.positions()
        return [self.job_table.shown(job, place) for job in self.job_table.newest_first()]

    async def cancel(self, id: str) -> Optimization:
        """Raises Conflict where the job is over.

        Whether its run follows is seen to, also when nobody asks again.
        """
        machine = self.job_table.machine(id)
        expect_cancellable(id, machine.state.status)
        if machine.state.status != "cancelling":
            machine.cancel()
            try:
                with suppress(
                    LogBroken, TimeoutError
                ):  # it is stopped also where the storage is slow to hear of it
                    async with asyncio.timeout(ASKED_AGAIN_S):
                        await self._saving.settled(machine)
            finally:
                if not machine.state.over:
                    self._tasks.once(
                        f"cancelling {id}",
                        partial(self._stop, machine),
                        lambda problem: self._end_run(id),
                    )
        return self.job_table.shown(machine)

    async def _stop(self, machine: JobStateMachine) -> None:
        """Asks the run to end, and ends its process where it does not: no job is being cancelled
        for ever.
        """
        id, run, began_at = machine.filed.id, machine.state.runs, time.monotonic()
        while id in self.job_table.attended and machine.state.runs == run:
            waited_s = time.monotonic() - began_at
            if waited_s > self._stops_within_s + self._ends_within_s:
                self._end_run(id)
                return
            ask = (
                self._worker_pool.stop
                if waited_s < self._stops_within_s
                else self._worker_pool.kill
            )
            try:
                async with asyncio.timeout(ASKED_AGAIN_S):
                    await ask(id)
            except Exception as problem:  # noqa: BLE001 - it is asked again, and ended at last
                self._tasks.report(f"cancelling {id}", problem)
            await asyncio.sleep(min(ASKED_AGAIN_S, self._stops_within_s, self._ends_within_s) / 4)

    def _end_run(self, id: str) -> None:
        """Waits no more for a run that says nothing, though its process was ended."""
        if run := self._run_by_job.get(id):
            run.cancel()

    async def resume(self, id: str, limits: QuotaSettings) -> Optimization:
        """Raises Conflict, OverQuota."""
        job_table, machine = self.job_table, self.job_table.machine(id)
        owner = machine.filed.owner
        await self.limit(owner, limits)
        async with self._filing:
            expect_resumable(id, machine.state.status)
            job_table.quotas.expect_room(owner, limits, job_table.now_of(owner))
            if machine.log.forgotten or machine.log.broken:
                machine.log.remember(await self._events_of(id))
            before = deepcopy(machine.state)
            job_table.aside.add(id)
            try:
                machine.resume(job_table.last_place + 1)
                await self._saving.save(machine)
                machine.say_resumed()
            except BaseException:
                machine.state = (
                    before  # who was told that it cannot be resumed is not to find it running
                )
                raise
            finally:
                job_table.aside.discard(id)
        await self._saving.settled(machine)
        self._fill()
        return job_table.shown(machine)

    async def limit(self, owner: str, limits: QuotaSettings) -> None:
        """What the owner's quota is from now on."""
        await self._saving.save_limits(owner, limits)
        await self.budgets.open(owner)

    def use(self, owner: str) -> dict[str, Any]:
        """The fields of objects.Quota that tell of use."""
        return self.job_table.use_of(owner)

    async def news(
        self, after_by_job: Mapping[str, int], timeout_s: float
    ) -> dict[str, list[Event] | PromptrayError]:
        """Events behind those that are known of some jobs, as soon as there are any; {} after a
        while without. In place of those
        that nobody will ever hear, why.
        """
        ends_at = time.monotonic() + timeout_s
        while True:
            wake = self._news.next
            found = {
                job: news
                for job, after in after_by_job.items()
                if (news := await self._since(job, after))
            }
            left = ends_at - time.monotonic()
            if found or left <= 0:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await wake.wait()

    async def _since(self, job: str, after: int) -> list[Event] | PromptrayError:
        """[] where there is nothing new."""
        machine = self.job_table.machines.get(job)
        if machine is None:
            return (
                Damaged(self.job_table.damaged[job].reason) if job in self.job_table.damaged else []
            )
        if machine.log.last_id <= after:
            return (
                LogBroken(f"The events of this job cannot be written ({machine.log.broken}).")
                if machine.log.broken
                else []
            )
        held = machine.log.since(after)
        if held is not None:
            return held
        try:
            return await self._events_of(job, after)
        except PromptrayError as problem:
            return problem

    async def _events_of(self, id: str, after: int = 0) -> list[Event]:
        """From storage. Raises Damaged, StorageError."""
        try:
            return await asyncio.to_thread(self._store.events, id, after)
        except DataError as problem:
            raise Damaged(
                f"The events of this job are damaged: {self._store.plain(problem)}"
            ) from problem

    def report(self, job: str, run: int, news: RunUpdates) -> None:
        """What a run tells. One that is not the job's last is not heard."""
        machine = self.job_table.machines.get(job)
        if machine and machine.state.runs == run and job in self.job_table.attended:
            machine.take(news)

    async def claim_models(self, job: str, run: int, deployments: Sequence[str]) -> None:
        """What a run is about to host; see Hosting.claim.

        One that is not the job's last is not heard.
        """
        machine = self.job_table.machines.get(job)
        if machine and machine.state.runs == run and job in self.job_table.attended:
            await self._hosting.claim(machine, deployments)

    def _fill(self) -> None:
        """As _start, for whoever has something else to do: what fails here is done again by the
        rounds.
        """
        try:
            self._start()
        except Exception as problem:  # noqa: BLE001
            self._tasks.report("starting jobs", problem)

    def _start(self) -> None:
        """Starts as many jobs as there is room for."""
        for job in () if self._closing else self.job_table.to_start(self._places):
            self.job_table.attended.add(job)
            self._tasks.once(
                f"attending {job}", partial(self._attend, self.job_table.machines[job])
            )

    async def _attend(self, machine: JobStateMachine) -> None:
        """One job, from its start to its end, however many processes it takes.

        A fault on the way is its end.
        """
        id = machine.filed.id
        try:
            await self._run_to_its_end(machine)
        except Exception as problem:  # noqa: BLE001
            # Whatever it is, the job must not stay as it is.
            self._tasks.report(f"attending {id}", problem)
            await self._break_off(machine, problem)
        finally:
            self.job_table.attended.discard(id)
            self._fill()

    async def _run_to_its_end(self, machine: JobStateMachine) -> None:
        lost, over = 0, machine.state.over  # it may have been cancelled in this very moment
        while not over:
            self._turns += 1
            machine.start(self._turns)
            await self._saving.settled(machine)
            steps = machine.steps
            try:
                machine.settle(await self._run(machine))
            except Lost as problem:
                await asyncio.sleep(AGAIN_S)
                lost = lost + 1 if machine.steps == steps else 1
                self._after_loss(machine, lost, str(problem))
            over = machine.state.over  # looked at now: it may be resumed as soon as its end is told
            machine.pause_clock()
            if over:
                await self.budgets.close(machine.filed.owner, machine.filed.id)
            await self._saving.settled(machine)

    async def _break_off(self, machine: JobStateMachine, problem: Exception) -> None:
        """The job is over, with the reason; what still runs of it is ended."""
        try:
            async with asyncio.timeout(ASKED_AGAIN_S):
                await self._worker_pool.kill(machine.filed.id)
        except Exception as another:  # noqa: BLE001 - the worker pool may be what is broken
            self._tasks.report(f"ending the run of {machine.filed.id}", another)
        await self.budgets.close(machine.filed.owner, machine.filed.id)
        if not machine.state.over:
            machine.break_off(
                f"The job broke on a fault of the service ({told(problem)}); what was paid for is "
                "kept, so it can be resumed."
            )
        try:
            await self._saving.settled(machine)
        except Exception as another:  # noqa: BLE001
            # It is saved by the rounds, as soon as that can be done.
            self._tasks.report(f"saving the end of {machine.filed.id}", another)
            machine.shown, machine.dirty = machine.state.status, True

    async def _run(self, machine: JobStateMachine) -> Outcome:
        """One that was cancelled while it was being started is not run. Raises Lost."""
        if machine.state.status == "cancelling":
            return Outcome("stopped")
        id = machine.filed.id
        run = self._run_by_job[id] = asyncio.ensure_future(
            self._worker_pool.run(Work(machine.filed, machine.state.runs))
        )
        try:
            await asyncio.wait([run])
        finally:
            del self._run_by_job[id]
            run.cancel()
        if run.cancelled():
            raise Lost("it was not heard of any more")
        return run.result()

    def _after_loss(self, machine: JobStateMachine, lost: int, reason: str) -> None:
        if machine.state.status == "cancelling":
            machine.settle(Outcome("stopped"))
        elif lost >= LOST_WITHOUT_PROGRESS:
            machine.fail(
                "ProcessLost",
                f"The process of this job was lost {lost} times without getting any further "
                f"({reason}).",
            )

    @property
    def _rounds(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What is done about once a second."""
        return {
            "holding the storage": self._check_hold,
            "counting calls in flight": self._count,
            "saving jobs": self._saving.save_dirty,
            "saving the use of quotas": self._saving.save_usage,
            "starting waiting jobs": self._start_waiting,
            "releasing models": self._hosting.release,
        }

    async def _check_hold(self) -> None:
        try:
            await asyncio.to_thread(self.job_table.held.check)
        except StorageError:
            self._lost()

    async def _count(self) -> None:
        self.job_table.in_flight = (
            None if (found := await self._worker_pool.in_flight()) is None else dict(found)
        )

    async def _start_waiting(self) -> None:
        self._start()  # a new day lets some start
