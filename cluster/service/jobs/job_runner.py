"""Starts jobs when there is room, attends each until its end, and stops those that are cancelled.

Knows whoever runs a job only as a WorkerPool: no Ray. For one event loop.
"""

import asyncio
import time
from functools import partial

from cluster.service.access.owner_budgets import OwnerBudgets
from cluster.service.core.worker_pool import Lost, Outcome, Work, WorkerPool
from cluster.service.jobs.job_table import JobTable
from cluster.service.jobs.persistence import StateSaver
from cluster.service.jobs.state_machine import JobStateMachine
from serving.runtime.supervision import Supervisor, describe

LOST_WITHOUT_PROGRESS = 3
"""Processes that a job may lose in a row without any progress before it has failed [ours]."""
AGAIN_S = 1.0
"""The pause after a lost run, in which the cluster removes what its process held, such as the lock
of the ledger [ours]."""
STOPS_WITHIN_S = 60.0
"""Seconds that a run may take to end after its job was cancelled; then its process is killed
[ours].
"""
ENDS_WITHIN_S = 20.0
"""Seconds after that for which the run is still waited for [ours]."""
RETRY_S = 5.0
"""Seconds that one request to a worker may take while a job is being cancelled [ours]."""


class JobRunner:
    """Runs the jobs of a job table, at most `most_running` at once.

    No job stays in a state for ever: a fault on the way of a job ends it as failed, with the
    reason.
    """

    def __init__(
        self,
        job_table: JobTable,
        worker_pool: WorkerPool,
        saver: StateSaver,
        budgets: OwnerBudgets,
        tasks: Supervisor,
        most_running: int,
        stops_within_s: float = STOPS_WITHIN_S,
        ends_within_s: float = ENDS_WITHIN_S,
    ) -> None:
        """Wire the runner up; nothing is started yet.

        Args:
            job_table: The jobs.
            worker_pool: What runs a job.
            saver: Writes the states of jobs.
            budgets: The owners' budgets, in which an ended job is closed.
            tasks: Supervises what runs in the background.
            most_running: Jobs that run at once.
            stops_within_s: See STOPS_WITHIN_S.
            ends_within_s: See ENDS_WITHIN_S.
        """
        self._job_table = job_table
        self._worker_pool = worker_pool
        self._saver = saver
        self._budgets = budgets
        self._tasks = tasks
        self._most_running = most_running
        self._stops_within_s, self._ends_within_s = stops_within_s, ends_within_s
        self._run_by_job: dict[str, asyncio.Future[Outcome]] = {}
        # Counted on from what is on storage: owners keep their order in the queue over a restart.
        self._turns = job_table.last_turn
        self._closing = False

    def close(self) -> None:
        """Start no further job."""
        self._closing = True

    def start_waiting(self) -> None:
        """Start as many jobs as there is room for."""
        for job in () if self._closing else self._job_table.to_start(self._most_running):
            # Before the task begins: a second call in between must not start the job twice.
            self._job_table.attended.add(job)
            self._tasks.once(
                f"attending {job}", partial(self._attend, self._job_table.machines[job])
            )

    def try_start_waiting(self) -> None:
        """Start waiting jobs; a fault is reported, and the controller tries again periodically."""
        try:
            self.start_waiting()
        except Exception as problem:  # noqa: BLE001
            self._tasks.report("starting jobs", problem)

    def stop(self, machine: JobStateMachine) -> None:
        """End the run of a cancelled job in the background."""
        id = machine.filed.id
        self._tasks.once(
            # If even the cancelling breaks, the run is given up: the job must come to its end.
            f"cancelling {id}",
            partial(self._stop, machine),
            lambda problem: self._end_run(id),
        )

    async def _stop(self, machine: JobStateMachine) -> None:
        """Ask the run to end, then kill its process, then give it up."""
        id, run, began_at = machine.filed.id, machine.state.runs, time.monotonic()
        # Another run of the same job, after a loss or a resume, is not what was cancelled.
        while id in self._job_table.attended and machine.state.runs == run:
            # First it may save what it has found; then its process is killed; then it is not waited
            # for any more.
            waited_s = time.monotonic() - began_at
            if waited_s > self._stops_within_s + self._ends_within_s:
                self._end_run(id)
                return
            end = (
                self._worker_pool.stop
                if waited_s < self._stops_within_s
                else self._worker_pool.kill
            )
            try:
                async with asyncio.timeout(RETRY_S):
                    await end(id)
            except Exception as problem:  # noqa: BLE001 - it is tried again, and given up at last
                self._tasks.report(f"cancelling {id}", problem)
            await asyncio.sleep(min(RETRY_S, self._stops_within_s, self._ends_within_s) / 4)

    def _end_run(self, id: str) -> None:
        """Wait no longer for a run that does not answer, though its process was killed."""
        # Cancelling the future only ends our waiting; _run turns that into a lost process.
        if run := self._run_by_job.get(id):
            run.cancel()

    async def _attend(self, machine: JobStateMachine) -> None:
        """Run one job from its start to its end, however many processes it takes."""
        id = machine.filed.id
        try:
            await self._run_to_its_end(machine)
        except Exception as problem:  # noqa: BLE001
            # Whatever it is, the job must not stay as it is.
            self._tasks.report(f"attending {id}", problem)
            await self._break_off(machine, problem)
        finally:
            # In every case: an id that stays here would take a slot for ever.
            self._job_table.attended.discard(id)
            self.try_start_waiting()

    async def _run_to_its_end(self, machine: JobStateMachine) -> None:
        lost, over = 0, machine.state.over  # it may have been cancelled in this very moment
        while not over:
            self._turns += 1
            machine.start(self._turns)
            await self._saver.flush(machine)
            # Compared after the run: a process that dies each time at the same point must not run
            # for ever.
            steps = machine.steps
            try:
                machine.settle(await self._run(machine))
            except Lost as problem:
                # Pause first: the ledger of the lost process is released by Ray a moment after its
                # death.
                await asyncio.sleep(AGAIN_S)
                lost = lost + 1 if machine.steps == steps else 1
                self._after_loss(machine, lost, str(problem))
            # Read before the end is saved: once it is public, the job may be resumed at any moment.
            over = machine.state.over
            machine.pause_clock()
            if over:
                await self._budgets.close(machine.filed.owner, machine.filed.id)
            await self._saver.flush(machine)

    async def _break_off(self, machine: JobStateMachine, problem: Exception) -> None:
        """Fail the job with the reason, and kill what still runs of it."""
        try:
            async with asyncio.timeout(RETRY_S):
                await self._worker_pool.kill(machine.filed.id)
        except Exception as another:  # noqa: BLE001 - the worker pool may be what is broken
            self._tasks.report(f"ending the run of {machine.filed.id}", another)
        await self._budgets.close(machine.filed.owner, machine.filed.id)
        if not machine.state.over:
            machine.break_off(
                f"The job broke on a fault of the service ({describe(problem)}); what was paid for "
                "is kept, so it can be resumed."
            )
        try:
            await self._saver.flush(machine)
        except Exception as another:  # noqa: BLE001
            # The controller saves it periodically, as soon as that is possible.
            self._tasks.report(f"saving the end of {machine.filed.id}", another)
            machine.public_status, machine.dirty = machine.state.status, True

    async def _run(self, machine: JobStateMachine) -> Outcome:
        """Run the job once.

        Raises:
            Lost: The process of the run is gone, or was given up.
        """
        if machine.state.status == "cancelling":  # cancelled while it was being started
            return Outcome("stopped")
        id = machine.filed.id
        run = self._run_by_job[id] = asyncio.ensure_future(
            self._worker_pool.run(Work(machine.filed, machine.state.runs))
        )
        try:
            # Not `await run`: a cancelled run and a cancelled attendant must be told apart.
            await asyncio.wait([run])
        finally:
            del self._run_by_job[id]
            run.cancel()
        if run.cancelled():
            raise Lost("it does not answer any more")
        return run.result()

    def _after_loss(self, machine: JobStateMachine, lost: int, reason: str) -> None:
        if machine.state.status == "cancelling":
            machine.settle(Outcome("stopped"))
        # Below that the loop in _run_to_its_end starts it again.
        elif lost >= LOST_WITHOUT_PROGRESS:
            machine.fail(
                "ProcessLost",
                f"The process of this job was lost {lost} times without getting any further "
                f"({reason}).",
            )
