"""The controller of a service's jobs: the one writer of their state.

It files jobs, cancels and resumes them, takes in what their runs report, and gives out their
events; job_runner.py starts and attends them. What it holds in memory is rebuilt from storage: jobs
that ran when it died go to the head of the queue and go on by replay.

Knows the storage, and whoever runs a job only as a WorkerPool: no Ray. For one event loop; all that
blocks goes to threads. Its periodic tasks are supervised, each by itself, so that a fault of one
does not stop the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any

from cluster.service.access.owner_budgets import OwnerBudgets
from cluster.service.core.job_record import Filed, State, expect_cancellable, expect_resumable
from cluster.service.core.settings import QuotaSettings
from cluster.service.core.worker_pool import WorkerPool
from cluster.service.jobs.event_feed import EventFeed
from cluster.service.jobs.event_log import LogBroken
from cluster.service.jobs.hosted_models import HostedModels
from cluster.service.jobs.job_runner import ENDS_WITHIN_S, RETRY_S, STOPS_WITHIN_S, JobRunner
from cluster.service.jobs.job_table import JobTable
from cluster.service.jobs.persistence import StateSaver
from cluster.service.jobs.run_updates import RunUpdate
from cluster.service.jobs.state_machine import JobStateMachine
from cluster.service.schemas import Event, Job
from cluster.service.stores.job_store import Store
from optimizer.errors import PromptrayError, StorageError
from serving.ledger.writer_lock import WAIT_S
from serving.runtime.supervision import Backoff, Supervisor

UNLIMITED = QuotaSettings()
SAVE_EVERY_S = 1.0
REPAIRED_WITHIN_S = 10.0
"""Seconds that the start waits for events that a crash has left out; a slower storage gets them
later [ours].
"""


class JobController:
    """The jobs of one storage. Call `open` before anything else."""

    def __init__(
        self,
        storage: str,
        running: int,
        worker_pool: WorkerPool,
        default_limits: QuotaSettings = UNLIMITED,
        lost: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
        stops_within_s: float = STOPS_WITHIN_S,
        ends_within_s: float = ENDS_WITHIN_S,
    ) -> None:
        """Wire the controller up; nothing is read yet.

        Args:
            storage: The service's folder, a path or a URI.
            running: Jobs that run at once.
            worker_pool: What runs a job.
            default_limits: The quota of an owner of whom no other is known.
            lost: Called when another process has taken the storage, so that nothing can be saved.
            backoff: The pauses of background tasks after faults; None: the usual ones.
            stops_within_s: See job_runner.STOPS_WITHIN_S.
            ends_within_s: See job_runner.ENDS_WITHIN_S.
        """
        self._lost = lost
        self._store = Store(storage)
        self._most_running = running
        self._worker_pool = worker_pool
        self._default = default_limits
        self._stops_within_s, self._ends_within_s = stops_within_s, ends_within_s
        self._tasks = Supervisor("the controller of jobs", backoff)
        self._feed = EventFeed(self._store)
        self._filing = asyncio.Lock()

    async def open(self, wait_s: float = WAIT_S) -> None:
        """Take the storage, and go on where the last controller stopped.

        Jobs whose files are damaged are shown as failed, and the others go on. On an error the
        storage is released.

        Args:
            wait_s: How long to wait for another process to release the storage.

        Raises:
            StorageError: Another process holds the storage, or it does not answer.
        """
        self.job_table = await asyncio.to_thread(
            JobTable, self._store, self._feed.notify, self._default, wait_s, self._tasks
        )
        try:
            for filed, state, events in await asyncio.to_thread(self.job_table.load):
                self.job_table.add(filed, state, events)
            repaired = [
                machine
                for machine in list(self.job_table.machines.values())
                if self.job_table.repair(machine)
            ]
        except BaseException:
            self.job_table.held.release()
            raise
        self._saver = StateSaver(self.job_table, self._tasks)
        self._hosted_models = HostedModels(self.job_table, self._worker_pool, self._saver)
        self.budgets = OwnerBudgets(
            self._store.usage_folder,
            self.job_table.quotas,
            self.job_table.limits_of,
            self.job_table.exhaust_quota,
        )
        self._runner = JobRunner(
            self.job_table,
            self._worker_pool,
            self._saver,
            self.budgets,
            self._tasks,
            self._most_running,
            self._stops_within_s,
            self._ends_within_s,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(REPAIRED_WITHIN_S):
                # What one of them raises is raised again when the job is attended.
                await asyncio.gather(*map(self._saver.flush, repaired), return_exceptions=True)
        for name, step in self._periodic_tasks.items():
            self._tasks.every(name, SAVE_EVERY_S, step)
        self._runner.try_start_waiting()

    async def close(self) -> None:
        """Stop attending jobs, and release the storage; their runs are the worker pool's."""
        self._runner.close()
        await self._tasks.close()
        self.job_table.held.release()

    def faults(self, least: int = 1) -> list[str]:
        """Return one sentence for each background task that fails; see Supervisor.faults."""
        return self._tasks.faults(least)

    async def create(self, filed: Filed, limits: QuotaSettings) -> Job:
        """File a job that was checked; the same id, or key of an owner, gives the same job.

        Args:
            filed: The job; its number is assigned here.
            limits: The owner's quota.

        Raises:
            OverQuota: The owner's quota has no room for one more job.
            StorageError: The storage does not answer.
        """
        job_table, owner = self.job_table, filed.owner
        await self.limit(owner, limits)
        async with self._filing:
            # Under the lock: a client that repeats its request must not get two jobs.
            if known := job_table.same_as(filed):
                return job_table.answer(known)
            job_table.quotas.expect_room(owner, limits, job_table.open_jobs_of(owner))
            filed = replace(filed, number=job_table.next_number)
            # The record first: a job that others can see can also be restored.
            await asyncio.to_thread(job_table.file, filed)
            machine = job_table.add(filed, State(place=job_table.last_place + 1), [])
            machine.log_queued()
        with suppress(LogBroken):  # the job is filed: whoever attends it finds this out too
            await machine.log.durable()
        self._runner.try_start_waiting()
        return job_table.answer(machine)

    def get(self, id: str) -> Job:
        """Return a job, also one whose files are damaged.

        Raises:
            NotFound: There is no such job.
        """
        return self.job_table.answer(self.job_table.find(id))

    def jobs(self) -> list[Job]:
        """Return all jobs, the newest first."""
        positions = self.job_table.positions()
        return [self.job_table.answer(job, positions) for job in self.job_table.newest_first()]

    async def cancel(self, id: str) -> Job:
        """Cancel a job; its run is ended in the background.

        Raises:
            Conflict: The job is over.
            NotFound: There is no such job.
            Damaged: The files of the job cannot be read.
        """
        machine = self.job_table.machine(id)
        expect_cancellable(id, machine.state.status)
        # A second request changes nothing: the first one is being carried out.
        if machine.state.status != "cancelling":
            machine.cancel()
            try:
                # The run is stopped also where the storage is slow to save that it is.
                with suppress(LogBroken, TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._saver.flush(machine)
            finally:
                if not machine.state.over:
                    self._runner.stop(machine)
        return self.job_table.answer(machine)

    async def resume(self, id: str, limits: QuotaSettings) -> Job:
        """Queue a failed or cancelled job again.

        Args:
            id: The job.
            limits: The owner's quota.

        Raises:
            Conflict: The job is neither failed nor cancelled.
            OverQuota: The owner's quota has no room for one more job.
            NotFound: There is no such job.
            Damaged: The files of the job cannot be read.
            StorageError: The storage does not answer.
        """
        job_table, machine = self.job_table, self.job_table.machine(id)
        owner = machine.filed.owner
        await self.limit(owner, limits)
        async with self._filing:
            expect_resumable(id, machine.state.status)
            job_table.quotas.expect_room(owner, limits, job_table.open_jobs_of(owner))
            # Events of a job that is over are not in memory; new ones need the ids to go on from.
            if machine.log.forgotten or machine.log.broken:
                machine.log.remember(await self._feed.stored_events(id))
            # A copy of the whole, since `resume` changes its fields in place.
            before = deepcopy(machine.state)
            # The scheduler leaves it alone until its state is saved: it could start and end
            # meanwhile.
            job_table.resuming.add(id)
            try:
                machine.resume(job_table.last_place + 1)
                # The state before the event, unlike at the end of a job: see
                # JobStateMachine.repair.
                await self._saver.save(machine)
                machine.log_resumed()
            except BaseException:
                # A caller who gets an error is not to find the job running.
                machine.state = before
                raise
            finally:
                job_table.resuming.discard(id)
        await self._saver.flush(machine)
        self._runner.try_start_waiting()
        return job_table.answer(machine)

    async def limit(self, owner: str, limits: QuotaSettings) -> None:
        """Set the owner's quota."""
        await self._saver.save_limits(owner, limits)
        await self.budgets.open(owner)

    def use(self, owner: str) -> dict[str, Any]:
        """Return the fields of schemas.Quota that say what the owner has used."""
        return self.job_table.use_of(owner)

    async def events_since(
        self, after_by_job: Mapping[str, int], timeout_s: float
    ) -> dict[str, list[Event] | PromptrayError]:
        """Return new events of some jobs, as soon as there are any; see EventFeed.wait."""
        return await self._feed.wait(self.job_table, after_by_job, timeout_s)

    def report(self, job: str, run: int, update: RunUpdate) -> None:
        """Take in an update of a run; one of a run that is not the job's last is ignored."""
        if machine := self._running(job, run):
            machine.apply(update)

    async def claim_models(self, job: str, run: int, deployments: Sequence[str]) -> None:
        """Record which models a run is about to host; see HostedModels.claim.

        Ignores a run that is not the job's last.
        """
        if machine := self._running(job, run):
            await self._hosted_models.claim(machine, deployments)

    def _running(self, job: str, run: int) -> JobStateMachine | None:
        machine = self.job_table.machines.get(job)
        # A process that was given up may still report: what it says is of the past.
        is_last = machine and machine.state.runs == run and job in self.job_table.attended
        return machine if is_last else None

    @property
    def _periodic_tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "holding the storage": self._check_hold,
            "counting calls in flight": self._count_in_flight,
            "saving jobs": self._saver.save_dirty,
            "saving the use of quotas": self._saver.save_usage,
            "starting waiting jobs": self._start_waiting,
            "releasing models": self._hosted_models.release,
        }

    async def _check_hold(self) -> None:
        try:
            await asyncio.to_thread(self.job_table.held.check)
        except StorageError:
            # Another process writes now: whatever this one still did would damage its work.
            self._lost()

    async def _count_in_flight(self) -> None:
        found = await self._worker_pool.in_flight()
        self.job_table.in_flight = None if found is None else dict(found)

    async def _start_waiting(self) -> None:
        self._runner.start_waiting()  # a new day's quota lets some start
