"""All jobs that a keeper has on its desks, and the line that they stand in. Reads and files them; starts and ends none.

Holds the storage for its keeper, so that all writing of jobs goes through here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cluster.service.desk import Desk
from cluster.service.errors import NotFound
from cluster.service.events import EventLog
from cluster.service.job import Filed, State, shown
from cluster.service.objects import Event, Optimization
from cluster.service.queue import Waiting, positions, starts
from cluster.service.quota import Quotas
from cluster.service.settings import QuotaSettings
from cluster.service.store import Store
from optimizer.errors import StorageError
from serving.ledger.lock import Hold, hold
from serving.storage.journal import Journal

Loaded = tuple[Filed, State, list[Event]]


class Roster:
    """The jobs of a storage, which is taken for writing: blocks. `told` is called whenever a job has new events. Raises
    StorageError where another holds it for longer than `wait_s` seconds."""

    def __init__(self, store: Store, told: Callable[[], None], default_limits: QuotaSettings, wait_s: float) -> None:
        self.store = store
        try:
            self.held: Hold = hold(store.jobs, wait_s)
        except StorageError as problem:
            raise StorageError(f"The service's storage {store.place} is in use or unusable: {problem}") from problem
        self.quotas = Quotas(store.usage)
        self.limits: dict[str, QuotaSettings] = {}
        """Of owners that have asked for something."""
        self.desks: dict[str, Desk] = {}
        """In the order in which the jobs came."""
        self.attended: set[str] = set()
        """Jobs that are being run."""
        self.aside: set[str] = set()
        """Jobs that are not to be started in this moment."""
        self.in_flight: Mapping[str, int] = {}
        self._told = told
        self._default = default_limits
        self._index: Journal = store.index()
        self._job_by_key: dict[tuple[str, str], str] = {}

    def load(self) -> list[Loaded]:
        """What stands on storage; of jobs that are over without their events."""
        return [self._load(id) for id in self.store.filed_ids()]

    def _load(self, id: str) -> Loaded:
        state = self.store.state(id)
        return self.store.filed(id), state, [] if state.over else self.store.events(id)

    def file(self, filed: Filed) -> None:
        """Makes a new job durable."""
        self.held.check()
        self.store.file_request(filed)
        self._index.append([{"id": filed.id}])

    @property
    def next_number(self) -> int:
        return len(self._index) + 1

    def put(self, filed: Filed, state: State, events: Sequence[Event]) -> Desk:
        """On a desk of its own."""
        journal: list[Journal] = []

        def write(entries: list[dict[str, Any]]) -> None:
            self.held.check()
            if not journal:
                journal.append(self.store.journal(filed.id))
            journal[0].append(entries)

        desk = self.desks[filed.id] = Desk(filed, state, EventLog(events, write, self._told), self.quotas.pay)
        if filed.idempotency_key:
            self._job_by_key[filed.owner, filed.idempotency_key] = filed.id
        return desk

    def same_as(self, filed: Filed) -> Desk | None:
        """The job that was filed under the same id, or by the same owner with the same key."""
        return self.desks.get(self._job_by_key.get((filed.owner, filed.idempotency_key or ""), filed.id))

    def desk(self, id: str) -> Desk:
        """Raises NotFound."""
        if id not in self.desks:
            raise NotFound(f"There is no job {id!r}.")
        return self.desks[id]

    def now_of(self, owner: str) -> int:
        """Jobs of an owner that are not over."""
        return sum(desk.filed.owner == owner and not desk.state.over for desk in self.desks.values())

    @property
    def last_place(self) -> int:
        return max((desk.place for desk in self.desks.values()), default=0)

    @property
    def last_turn(self) -> int:
        return max((desk.state.turn for desk in self.desks.values()), default=0)

    def to_start(self, places: int) -> list[str]:
        waiting, running, last_turn, barred = self._line()
        return starts(waiting, running, places, last_turn, barred)

    def positions(self) -> dict[str, int]:
        """Job -> its place in the queue."""
        return positions(*self._line())

    def shown(self, desk: Desk, place: Mapping[str, int] | None = None) -> Optimization:
        """As the API gives it; `place` where the positions are known already."""
        id = desk.filed.id
        place = self.positions() if place is None and desk.state.status == "queued" else place or {}
        return shown(
            desk.filed, replace(desk.state, status=desk.shown), desk.log.last_id, place.get(id), self.in_flight.get(id, 0),
            desk.running_s)

    def _line(self) -> tuple[list[Waiting], list[str], dict[str, int], set[str]]:
        waiting = [
            Waiting(id, desk.filed.owner, desk.place) for id, desk in self.desks.items()
            if desk.state.status == "queued" and id not in self.attended and id not in self.aside]
        last_turn: dict[str, int] = {}
        for desk in self.desks.values():
            if desk.state.turn:
                last_turn[desk.filed.owner] = max(desk.state.turn, last_turn.get(desk.filed.owner, 0))
        owners = {one.owner for one in waiting}
        barred = {owner for owner in owners if self.quotas.spent_out(owner, self.limits.get(owner, self._default))}
        return waiting, [self.desks[id].filed.owner for id in self.attended], last_turn, barred
