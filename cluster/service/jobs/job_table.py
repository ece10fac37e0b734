"""All jobs of a controller on their state machines, and the queue of those that wait.

The table holds the storage for its controller, so that all writing of jobs goes through it. It
reads and files jobs, and starts none. A job whose files cannot be read is shown as failed, with the
reason, and all others go on.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cluster.service.access.quotas import Quotas, day_of
from cluster.service.core.errors import Damaged, NotFound
from cluster.service.core.job_record import DamagedJob, Filed, State, job_answer
from cluster.service.core.settings import QuotaSettings
from cluster.service.jobs.damage import describe_damage
from cluster.service.jobs.event_log import EventLog
from cluster.service.jobs.event_writer import EventWriter
from cluster.service.jobs.scheduler import Waiting, positions, starts
from cluster.service.jobs.state_machine import JobStateMachine
from cluster.service.schemas import Event, Job
from cluster.service.stores.job_index import Index
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, StorageError
from serving.ledger.ownership import Hold
from serving.ledger.writer_lock import hold
from serving.runtime.supervision import Supervisor

Loaded = tuple[Filed, State, list[Event]]
_log = logging.getLogger(__name__)


class JobTable:
    """The jobs of a storage, which it locks for writing. Its methods block."""

    def __init__(
        self,
        store: Store,
        on_change: Callable[[], None],
        default_limits: QuotaSettings,
        wait_s: float,
        tasks: Supervisor | None = None,
    ) -> None:
        """Lock the storage and read the index of the jobs.

        Args:
            store: The storage.
            on_change: Called whenever a job has new events.
            default_limits: The quota of an owner of whom no other is known.
            wait_s: How long to wait for another process to release the storage.
            tasks: Supervises the writing of events.

        Raises:
            StorageError: Another process holds the storage, or it does not answer.
        """
        self.store = store
        self._tasks = tasks or Supervisor("the controller of jobs")
        try:
            self.held: Hold = hold(store.jobs, wait_s)
        except StorageError as problem:
            raise StorageError(
                f"The service's storage {store.place} is in use or unusable: {problem}"
            ) from problem
        try:
            self._read_first()
        except BaseException:
            self.held.release()  # else the next attempt would find the storage locked
            raise
        self.limits: dict[str, QuotaSettings] = {
            owner: QuotaSettings.model_validate(limits) for owner, limits in store.limits().items()
        }
        """Owner -> the quota that was last set; for all owners that ever filed a job."""
        self.machines: dict[str, JobStateMachine] = {}
        """The jobs by id, in the order in which they were filed."""
        self.attended: set[str] = set()
        """The jobs that are being run."""
        self.resuming: set[str] = set()
        """Jobs that are being resumed at this moment, and must not be started before they are
        saved.
        """
        self.in_flight: Mapping[str, int] | None = None
        self._on_change = on_change
        self._default = default_limits
        self._job_by_key: dict[tuple[str, str], str] = {}

    def _read_first(self) -> None:
        self.notes: list[str] = []
        """Sentences on what was found damaged on storage, and what was done about it."""
        self.damaged: dict[str, DamagedJob] = {}
        self._index = Index(self.store, self.note)
        self._unknown_use = False
        self.quotas = Quotas(self._used)

    def note(self, sentence: str) -> None:
        """Record and log what an admin should know about the storage."""
        self.notes.append(sentence)
        _log.error("The storage of the service: %s", sentence)

    def load(self) -> list[Loaded]:
        """Read all jobs from storage; the events of a job that is over stay there.

        A job that cannot be read is marked as damaged.

        Raises:
            StorageError: The storage does not answer.
        """
        loaded: list[Loaded] = []
        for id in self._index.ids:
            try:
                filed, state = self.store.filed(id), self.store.state(id)
                loaded.append((filed, state, [] if state.over else self.store.events(id)))
            except Exception as problem:  # noqa: BLE001
                # Whatever is wrong with one job, the others go on.
                if isinstance(problem, StorageError):
                    self.store.filed_ids()  # raises where not only this job's files are away
                self.mark_damaged(id, problem)
        if self._unknown_use:
            self._restore_use(loaded)
        return loaded

    def mark_damaged(self, id: str, problem: Exception) -> None:
        """Show a job whose files cannot be used as failed, and take it off its state machine."""
        self.machines.pop(id, None)
        found, filed = describe_damage(self.store, id, *self._index.of(id), problem)
        if filed and filed.idempotency_key:
            self._job_by_key[filed.owner, filed.idempotency_key] = id
        self.damaged[id] = found
        self.note(f"{id} of {found.owner or 'an unknown owner'}: {found.reason}")

    def _used(self, day: str) -> dict[str, dict[str, float]]:
        """Return what owners have used on a day.

        Where that cannot be read, `_restore_use` estimates it once the jobs were read.
        """
        try:
            return self.store.usage(day)
        except DataError as problem:
            self._unknown_use = True
            self.note(
                f"{self.store.plain(problem)} Until then all that the last runs of that day's jobs "
                "have spent counts as its use."
            )
            self.store.back_up_damaged_usage(day)
            return {}

    def _restore_use(self, loaded: Sequence[Loaded]) -> None:
        """Count the last runs of the day's jobs as its use.

        No owner gets a day's quota a second time because a file was lost.
        """
        self._unknown_use = False
        for filed, state, _ in loaded:
            if state.started_at and day_of(state.finished_at or self.quotas.now) >= self.quotas.day:
                spent = state.spent_by_trial.values()
                self.quotas.pay(
                    filed.owner,
                    sum(one.paid for one in spent),
                    sum(one.money or 0.0 for one in spent),
                )

    def file(self, filed: Filed) -> None:
        """Write a new job to storage."""
        self.held.check()
        self.store.file_request(filed)
        self._index.add(filed)

    @property
    def next_number(self) -> int:
        """Return the number of the next job."""
        return len(self._index) + 1

    def add(self, filed: Filed, state: State, events: Sequence[Event]) -> JobStateMachine:
        """Put a job on a state machine, and return it."""
        write = EventWriter(self.store, lambda: self.held.check(), filed.id).write
        log = EventLog(
            events, write, self._on_change, self._tasks, f"writing the events of {filed.id}"
        )
        machine = self.machines[filed.id] = JobStateMachine(filed, state, log, self.quotas.pay)
        if filed.idempotency_key:
            self._job_by_key[filed.owner, filed.idempotency_key] = filed.id
        return machine

    def same_as(self, filed: Filed) -> JobStateMachine | DamagedJob | None:
        """Return the job with the same id, or the same key of the same owner, if any."""
        id = self._job_by_key.get((filed.owner, filed.idempotency_key or ""), filed.id)
        return self.machines.get(id) or self.damaged.get(id)

    def newest_first(self) -> Iterator[JobStateMachine | DamagedJob]:
        """Yield all jobs, the newest first."""
        for id in reversed(self._index.ids):
            if found := self.machines.get(id) or self.damaged.get(id):
                yield found

    def find(self, id: str) -> JobStateMachine | DamagedJob:
        """Return a job, also one that is damaged.

        Raises:
            NotFound: There is no such job.
        """
        return self.damaged[id] if id in self.damaged else self.machine(id)

    def machine(self, id: str) -> JobStateMachine:
        """Return the state machine of a job.

        Raises:
            NotFound: There is no such job.
            Damaged: Its files cannot be read.
        """
        if id in self.damaged:
            raise Damaged(self.damaged[id].reason)
        if id not in self.machines:
            raise NotFound(f"There is no job {id!r}.")
        return self.machines[id]

    def repair(self, machine: JobStateMachine) -> bool:
        """Make a job's state and events agree after a crash; see JobStateMachine.repair.

        A job that cannot be repaired is marked as damaged.

        Returns:
            Whether there is something to save.
        """
        try:
            machine.dirty = machine.repair()
        except Exception as problem:  # noqa: BLE001
            # Whatever is wrong with one job, the others go on.
            self.mark_damaged(machine.filed.id, problem)
            return False
        return machine.dirty

    def limits_of(self, owner: str) -> QuotaSettings:
        """Return the quota of an owner, as it was last set."""
        return self.limits.get(owner, self._default)

    def exhaust_quota(self, job: str, reason: str) -> None:
        """End a job early because its owner's quota is exhausted; it says so once a run."""
        if (machine := self.machines.get(job)) and not machine.state.over:
            machine.exhaust_quota(reason)

    def open_jobs_of(self, owner: str) -> int:
        """Return how many jobs of an owner are not over."""
        return sum(
            machine.filed.owner == owner and not machine.state.over
            for machine in self.machines.values()
        )

    def use_of(self, owner: str) -> dict[str, Any]:
        """Return the fields of schemas.Quota that say what the owner has used."""
        calls, money = self.quotas.of(owner)
        return {"jobs_now": self.open_jobs_of(owner), "calls_today": calls, "money_today": money}

    @property
    def last_place(self) -> int:
        """Return the highest place in any owner's queue."""
        return max((machine.place for machine in self.machines.values()), default=0)

    @property
    def last_turn(self) -> int:
        """Return the number of the last start of a job, in counted starts."""
        return max((machine.state.turn for machine in self.machines.values()), default=0)

    def to_start(self, most_running: int) -> list[str]:
        """Return the jobs to start now, so that at most `most_running` run."""
        waiting, running, last_turn, barred = self._queue()
        return starts(waiting, running, most_running, last_turn, barred)

    def positions(self) -> dict[str, int]:
        """Return job -> its position in the queue; 1 is the next to start."""
        return positions(*self._queue())

    def answer(
        self,
        machine: JobStateMachine | DamagedJob,
        position_by_job: Mapping[str, int] | None = None,
    ) -> Job:
        """Return a job as the API shows it.

        Args:
            machine: The job.
            position_by_job: The positions in the queue, where they are known already.
        """
        if isinstance(machine, DamagedJob):
            return machine.answer
        if position_by_job is None:
            position_by_job = self.positions() if machine.state.status == "queued" else {}
        return job_answer(
            machine.filed,
            replace(machine.state, status=machine.public_status),
            machine.log.last_id,
            position_by_job.get(machine.filed.id),
            self._in_flight_of(machine),
            machine.running_s,
        )

    def _in_flight_of(self, machine: JobStateMachine) -> int | None:
        if machine.public_status not in ("running", "cancelling"):
            return 0
        # A gate without calls of a job is no proof that it makes none: its reports may be late or
        # lost.
        return None if self.in_flight is None else self.in_flight.get(machine.filed.id)

    def _queue(self) -> tuple[list[Waiting], list[str], dict[str, int], set[str]]:
        waiting = [
            Waiting(id, machine.filed.owner, machine.place)
            for id, machine in self.machines.items()
            if machine.state.status == "queued"
            and id not in self.attended
            and id not in self.resuming
        ]
        last_turn: dict[str, int] = {}
        for machine in self.machines.values():
            if machine.state.turn:
                last_turn[machine.filed.owner] = max(
                    machine.state.turn, last_turn.get(machine.filed.owner, 0)
                )
        owners = {one.owner for one in waiting}
        barred = {owner for owner in owners if self.quotas.spent_out(owner, self.limits_of(owner))}
        return waiting, [self.machines[id].filed.owner for id in self.attended], last_turn, barred
