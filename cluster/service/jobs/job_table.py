"""All jobs that a controller has on its state machines, and the line that they stand in.

Reads and files them; starts and ends none.

Holds the storage for its controller, so that all writing of jobs goes through here. A job whose
files cannot be read is set aside, with the reason: it is shown, and all others go on.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cluster.service.access.quotas import Quotas, day_of
from cluster.service.core.errors import Damaged, NotFound
from cluster.service.core.job_record import Filed, SetAside, State, shown
from cluster.service.core.settings import QuotaSettings
from cluster.service.jobs.event_log import EventLog
from cluster.service.jobs.scheduler import Waiting, positions, starts
from cluster.service.jobs.state_machine import JobStateMachine
from cluster.service.schemas import Event, Optimization
from cluster.service.stores.job_index import Index
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, StorageError
from serving.ledger.ownership import Hold
from serving.ledger.writer_lock import hold
from serving.runtime.supervision import Supervisor
from serving.storage.journal import Journal

Loaded = tuple[Filed, State, list[Event]]
_log = logging.getLogger(__name__)


class JobTable:
    """The jobs of a storage, which is taken for writing: blocks.

    `told` is called whenever a job has new events. Raises
    StorageError where another holds it for longer than `wait_s` seconds.
    """

    def __init__(
        self,
        store: Store,
        told: Callable[[], None],
        default_limits: QuotaSettings,
        wait_s: float,
        tasks: Supervisor | None = None,
    ) -> None:
        """`tasks` sees to the writing of events."""
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
            self.held.release()  # who tries again, here or elsewhere, is to hear the true reason
            raise
        self.limits: dict[str, QuotaSettings] = {
            owner: QuotaSettings.model_validate(limits) for owner, limits in store.limits().items()
        }
        """Of owners that have asked for something, ever."""
        self.machines: dict[str, JobStateMachine] = {}
        """In the order in which the jobs came."""
        self.attended: set[str] = set()
        """Jobs that are being run."""
        self.aside: set[str] = set()
        """Jobs that are not to be started in this moment."""
        self.in_flight: Mapping[str, int] | None = None
        self._told = told
        self._default = default_limits
        self._job_by_key: dict[tuple[str, str], str] = {}

    def _read_first(self) -> None:
        self.notes: list[str] = []
        """What was found damaged on storage, and what was done about it; a sentence each."""
        self.damaged: dict[str, SetAside] = {}
        self._index = Index(self.store, self.note)
        self._unknown_use = False
        self.quotas = Quotas(self._used)

    def note(self, sentence: str) -> None:
        """Takes down and logs what an admin should know of the storage."""
        self.notes.append(sentence)
        _log.error("The storage of the service: %s", sentence)

    def load(self) -> list[Loaded]:
        """What stands on storage; of jobs that are over without their events.

        Those that cannot be read are set aside.
        """
        loaded: list[Loaded] = []
        for id in self._index.ids:
            try:
                loaded.append(self._load(id))
            except Exception as problem:  # noqa: BLE001
                # Whatever is wrong with one job, the others go on.
                if isinstance(problem, StorageError):
                    self.store.filed_ids()  # raises where not only this job's files are away
                self.set_aside(id, problem)
        if self._unknown_use:
            self._restore_use(loaded)
        return loaded

    def _load(self, id: str) -> Loaded:
        filed, state = self.store.filed(id), self.store.state(id)
        return filed, state, [] if state.over else self.store.events(id)

    def set_aside(self, id: str, problem: Exception) -> None:
        """Takes a job off the state machines, whose files cannot be used."""
        self.machines.pop(id, None)
        said = (
            self.store.plain(problem)
            if isinstance(problem, DataError | StorageError)
            else (
                f"optimizations/{id} cannot be used ({type(problem).__name__}: {problem}); bring "
                "it back from a copy."
            )
        )
        reason = f"This job was set aside, as its files are damaged: {said}"
        number, entry = self._index.of(id)
        found = SetAside(
            id,
            number,
            str(entry.get("owner", "")),
            str(entry.get("name", "")),
            _int(entry.get("created_at")),
            reason,
        )
        try:
            filed = self.store.filed(id)
            found = replace(
                found,
                owner=filed.owner,
                name=filed.request.name,
                created_at=filed.created_at,
                request=filed.request,
            )
            if filed.idempotency_key:
                self._job_by_key[filed.owner, filed.idempotency_key] = id
        except Exception:  # noqa: BLE001 - then the index says whose it is
            _log.debug("The record of %s cannot be read.", id)
        self.damaged[id] = found
        self.note(f"{id} of {found.owner or 'an unknown owner'}: {reason}")

    def _used(self, day: str) -> dict[str, dict[str, float]]:
        """A day's use. One that cannot be read is made up for when the jobs were read."""
        try:
            return self.store.usage(day)
        except DataError as problem:
            self._unknown_use = True
            self.note(
                f"{self.store.plain(problem)} Until then all that the last runs of that day's jobs "
                "have spent counts as its use."
            )
            self.store.keep_damaged_usage(day)
            return {}

    def _restore_use(self, loaded: Sequence[Loaded]) -> None:
        """No owner gets a day's quota a second time because a file of it was lost."""
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
        """Makes a new job durable."""
        self.held.check()
        self.store.file_request(filed)
        self._index.add(filed)

    @property
    def next_number(self) -> int:
        return len(self._index) + 1

    def put(self, filed: Filed, state: State, events: Sequence[Event]) -> JobStateMachine:
        """On a state machine of its own."""
        journal: list[Journal] = []

        def write(entries: list[dict[str, Any]]) -> None:
            self.held.check()
            if not journal:
                journal.append(self.store.journal(filed.id))
            there = len(journal[0])
            new = [entry for entry in entries if entry["id"] > there]
            if new and new[0]["id"] != there + 1:
                raise DataError(
                    f"The storage has {there} events of the job {filed.id}, and event "
                    f"{new[0]['id']} is next; bring them back "
                    "from a copy."
                )
            try:
                journal[0].append(new)
            except BaseException:
                journal.clear()  # what stands there is looked at anew
                raise

        log = EventLog(events, write, self._told, self._tasks, f"writing the events of {filed.id}")
        machine = self.machines[filed.id] = JobStateMachine(filed, state, log, self.quotas.pay)
        if filed.idempotency_key:
            self._job_by_key[filed.owner, filed.idempotency_key] = filed.id
        return machine

    def same_as(self, filed: Filed) -> JobStateMachine | SetAside | None:
        """The job that was filed under the same id, or by the same owner with the same key."""
        id = self._job_by_key.get((filed.owner, filed.idempotency_key or ""), filed.id)
        return self.machines.get(id) or self.damaged.get(id)

    def newest_first(self) -> Iterator[JobStateMachine | SetAside]:
        """All jobs."""
        for id in reversed(self._index.ids):
            if found := self.machines.get(id) or self.damaged.get(id):
                yield found

    def any_of(self, id: str) -> JobStateMachine | SetAside:
        """Raises NotFound."""
        return self.damaged[id] if id in self.damaged else self.machine(id)

    def machine(self, id: str) -> JobStateMachine:
        """Raises NotFound, and Damaged for a job that was set aside."""
        if id in self.damaged:
            raise Damaged(self.damaged[id].reason)
        if id not in self.machines:
            raise NotFound(f"There is no job {id!r}.")
        return self.machines[id]

    def mended(self, machine: JobStateMachine) -> bool:
        """Brings a job's state and events together; see JobStateMachine.mend.

        One with which that cannot be done is set aside.
        """
        try:
            machine.dirty = machine.mend()
        except Exception as problem:  # noqa: BLE001
            # Whatever is wrong with one job, the others go on.
            self.set_aside(machine.filed.id, problem)
            return False
        return machine.dirty

    def limits_of(self, owner: str) -> QuotaSettings:
        """The quota that the owner had last."""
        return self.limits.get(owner, self._default)

    def meet_quota(self, job: str, reason: str) -> None:
        """A job has met its owner's quota: it ends on it, and says so once a run."""
        if (machine := self.machines.get(job)) and not machine.state.over:
            machine.meet_quota(reason)

    def now_of(self, owner: str) -> int:
        """Jobs of an owner that are not over."""
        return sum(
            machine.filed.owner == owner and not machine.state.over
            for machine in self.machines.values()
        )

    def use_of(self, owner: str) -> dict[str, Any]:
        """The fields of objects.Quota that tell of use."""
        calls, money = self.quotas.of(owner)
        return {"jobs_now": self.now_of(owner), "calls_today": calls, "money_today": money}

    @property
    def last_place(self) -> int:
        return max((machine.place for machine in self.machines.values()), default=0)

    @property
    def last_turn(self) -> int:
        return max((machine.state.turn for machine in self.machines.values()), default=0)

    def to_start(self, places: int) -> list[str]:
        waiting, running, last_turn, barred = self._line()
        return starts(waiting, running, places, last_turn, barred)

    def positions(self) -> dict[str, int]:
        """Job -> its place in the queue."""
        return positions(*self._line())

    def shown(
        self, machine: JobStateMachine | SetAside, place: Mapping[str, int] | None = None
    ) -> Optimization:
        """As the API gives it; `place` where the positions are known already."""
        if isinstance(machine, SetAside):
            return machine.shown
        id = machine.filed.id
        place = (
            self.positions() if place is None and machine.state.status == "queued" else place or {}
        )
        return shown(
            machine.filed,
            replace(machine.state, status=machine.shown),
            machine.log.last_id,
            place.get(id),
            self._in_flight_of(machine),
            machine.running_s,
        )

    def _in_flight_of(self, machine: JobStateMachine) -> int | None:
        if machine.shown not in ("running", "cancelling"):
            return 0
        # A window that has heard nothing of a job is no proof that it calls nobody: its reports may
        # be late, or lost.
        return None if self.in_flight is None else self.in_flight.get(machine.filed.id)

    def _line(self) -> tuple[list[Waiting], list[str], dict[str, int], set[str]]:
        waiting = [
            Waiting(id, machine.filed.owner, machine.place)
            for id, machine in self.machines.items()
            if machine.state.status == "queued" and id not in self.attended and id not in self.aside
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


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
