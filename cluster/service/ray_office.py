"""The Office of a replica of the API: whom a thing belongs to, checks before a job is filed, and the way to the keeper.

Knows the keeper as an actor on Ray, and the storage. What blocks goes to threads, and what reads
a stranger's data to processes that can be killed: it is called from an event loop.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from ray.exceptions import ActorUnavailableError, GetTimeoutError

from cluster.preparation import SETTINGS_FILE
from cluster.service.check_pool import CheckPool
from cluster.service.experiments import experiment_settings
from cluster.service.following import Hub
from cluster.service.job import Filed
from cluster.service.keeper import open_keeper
from cluster.service.objects import Estimate, Event, Optimization, OptimizationRequest, Page
from cluster.service.office import Caller
from cluster.service.outlook import Probes, planned, reach_all, unmeasured
from cluster.service.paging import page_of, unknown_job
from cluster.service.reading_threads import OWN, ReadingThreads
from cluster.service.settings import QuotaSettings, ServiceSettings
from cluster.service.store import Store
from cluster.settings import ExperimentSettings
from serving.actors import answered
from serving.storage import Folder, open_folder

T = TypeVar("T")
_OF = "the service"
Limits = Callable[[str], QuotaSettings]


class RayOffice:
    """An office.Office. For one event loop; any number of them agree. `limits` gives what an owner may use; None: as the settings
    have it for everybody. `checks` and `threads`: None for its own."""

    def __init__(
        self, service: ServiceSettings, limits: Limits | None = None, checks: CheckPool | None = None,
        threads: ReadingThreads | None = None,
    ) -> None:
        place = open_folder(service.storage).absolute().place
        self._service = service.model_copy(update={"storage": place})
        self._limits = limits or (lambda owner: service.quota)
        self._checks = checks or CheckPool(service.work)
        self._threads = threads or ReadingThreads()
        self._probes = Probes(self._service)
        self._store = Store(place)
        self._keeper: Any = None
        self._finding = asyncio.Lock()
        self._owner_by_job: dict[str, str] = {}
        self._hub = Hub(self._news, self._events_there)

    async def open(self) -> None:
        """Wakes the keeper, so that jobs go on though nobody asks. Raises StorageError where the storage cannot be had."""
        await self._asked(lambda keeper: keeper.open.remote())

    async def create(self, caller: Caller, request: OptimizationRequest, idempotency_key: str | None = None) -> Optimization:
        id = f"opt-{secrets.token_hex(12)}"
        asked = await self._checks.run(caller.owner, planned, request, self._service, self._store.results(id).place, caller)
        await reach_all(asked)
        filed = Filed(id, 0, caller.owner, int(time.time()), request, idempotency_key)
        return await self._asked(lambda keeper: keeper.create.remote(filed, self._limits(caller.owner)))

    async def estimate(self, caller: Caller, request: OptimizationRequest, probe: bool) -> Estimate:
        told: Estimate
        told, asked = await self._checks.run(caller.owner, unmeasured, request, self._service, caller)
        await reach_all(asked)
        return await self._probes.run(caller.owner, request) if probe else told

    async def get(self, caller: Caller, id: str) -> Optimization:
        await self._expect_visible(caller, id)
        return await self._asked(lambda keeper: keeper.get.remote(id))

    async def page(
        self, caller: Caller, after: str | None, limit: int, status: str | None = None, owner: str | None = None
    ) -> Page[Optimization]:
        every: list[Optimization] = await self._asked(lambda keeper: keeper.jobs.remote())
        own = [job for job in every if caller.may_see(job.owner) and owner in (None, job.owner)]
        return page_of(own, after, limit, status)

    async def cancel(self, caller: Caller, id: str) -> Optimization:
        await self._expect_visible(caller, id)
        return await self._asked(lambda keeper: keeper.cancel.remote(id))

    async def resume(self, caller: Caller, id: str) -> Optimization:
        owner = await self._expect_visible(caller, id)
        return await self._asked(lambda keeper: keeper.resume.remote(id, self._limits(owner)))

    async def events(self, caller: Caller, id: str, after: int, limit: int) -> list[Event]:
        await self._expect_visible(caller, id)
        return await self._threads.run(caller.owner, self._store.events, id, after, limit)

    async def follow(self, caller: Caller, id: str, after: int) -> AsyncIterator[Event]:
        await self._expect_visible(caller, id)
        async for event in self._hub.follow(id, after):
            yield event

    async def settings(self, caller: Caller, id: str) -> ExperimentSettings:
        await self._expect_visible(caller, id)
        return await self._threads.run(caller.owner, self._settings, id)

    async def results(self, caller: Caller, id: str) -> Folder:
        await self._expect_visible(caller, id)
        return self._store.results(id)

    async def ping(self) -> None:
        await self._asked(lambda keeper: keeper.ping.remote())

    async def quota(self, caller: Caller) -> Mapping[str, Any]:
        return await self._asked(lambda keeper: keeper.use.remote(caller.owner))

    def _settings(self, id: str) -> ExperimentSettings:
        """As the job wrote them, once it has started."""
        out = self._store.results(id)
        if out.exists(SETTINGS_FILE):
            return ExperimentSettings.read(out.place_of(SETTINGS_FILE))
        return experiment_settings(self._store.filed(id).request, self._service, out)

    async def _expect_visible(self, caller: Caller, id: str) -> str:
        """The job's owner. Raises NotFound, also where the caller may not see it."""
        if id not in self._owner_by_job:
            filed = await self._threads.run(caller.owner, self._filed, id)
            if filed is None:
                raise unknown_job(id)
            self._owner_by_job[id] = filed.owner
        if not caller.may_see(self._owner_by_job[id]):
            raise unknown_job(id)
        return self._owner_by_job[id]

    def _filed(self, id: str) -> Filed | None:
        if not id.startswith("opt-") or not id.removeprefix("opt-").isalnum() or not self._store.has(id):
            return None
        return self._store.filed(id)

    async def _events_there(self, id: str) -> list[Event]:
        return await self._threads.run(OWN, self._store.events, id)

    async def _news(self, after_by_job: Mapping[str, int], timeout_s: float) -> dict[str, list[Event]]:
        return await self._asked(lambda keeper: keeper.news.remote(dict(after_by_job), timeout_s))

    async def _asked(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """What the keeper says; one that is just coming back is asked again."""
        async with self._finding:
            self._keeper = self._keeper or await self._threads.run(OWN, open_keeper, self._service)
        try:
            return await answered(question(self._keeper), _OF)
        except (ActorUnavailableError, GetTimeoutError):
            return await answered(question(self._keeper), _OF)
