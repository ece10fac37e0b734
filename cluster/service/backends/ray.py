"""The Backend of a replica of the API: whom a thing belongs to, checks before a job is filed, and
the way to the controller.

Knows the controller as an actor on Ray, and the storage. What blocks goes to threads, and what
reads a stranger's data to processes that can be killed: it is called from an event loop.
"""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from ray.exceptions import ActorUnavailableError, GetTimeoutError

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.preflight import Question
from cluster.experiment.prepare import SETTINGS_FILE
from cluster.service.access.admission import expect_offered
from cluster.service.access.spenders import JobShare
from cluster.service.backends.broadcast import EventBroadcaster
from cluster.service.backends.estimates import Probes, planned, reach_all, unmeasured
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Damaged, NotFound
from cluster.service.core.job_record import Filed
from cluster.service.core.pagination import page_of, unknown_job
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from cluster.service.jobs.controller_actor import open_controller
from cluster.service.jobs.request_mapping import admit, experiment_settings, kept_settings
from cluster.service.schemas import Estimate, Event, Optimization, OptimizationRequest, Page
from cluster.service.stores.check_pool import CheckPool
from cluster.service.stores.job_store import Store
from cluster.service.stores.threads import OWN, ReadingThreads
from optimizer.budget.cost import Cost
from optimizer.errors import DataError, PromptrayError, UserError
from serving.hosting.deployment import STARTS_WITHIN_S
from serving.runtime.actors import answered
from serving.runtime.supervision import LASTING
from serving.storage import Folder, open_folder

T = TypeVar("T")
_ID = re.compile(r"opt-[0-9A-Za-z]{1,64}")
"""Of a job: it becomes the name of a folder, so nothing else is looked for."""
_OF = "the service"
ANSWERS_WITHIN_S = 60.0
"""A question to the controller.

It waits for the controller's storage, and at the start for the models: who asks is told, and may
ask again [ours].
"""
OPENS_WITHIN_S = STARTS_WITHIN_S + 60.0
FAULTS_WITHIN_S = 5.0
Limits = Callable[[str], QuotaSettings]


class RayBackend:
    """An backend.JobBackend.

    For one event loop; any number of them agree. `limits` gives what an owner may use; None: as the
    settings
    have it for everybody. `checks` and `threads`: None for its own.
    """

    def __init__(
        self,
        service: ServiceSettings,
        limits: Limits | None = None,
        checks: CheckPool | None = None,
        threads: ReadingThreads | None = None,
    ) -> None:
        place = open_folder(service.storage).absolute().place
        self._service = service.model_copy(update={"storage": place})
        self._limits = limits or (lambda owner: service.quota)
        self._checks = checks or CheckPool(service.work)
        self._threads = threads or ReadingThreads()
        self._probes = Probes(self._service)
        self._store = Store(place)
        self._controller: Any = None
        self._finding = asyncio.Lock()
        self._owner_by_job: dict[str, str] = {}
        self._follower = EventBroadcaster(self._news, self._events_there)

    async def open(self) -> None:
        """Wakes the controller, so that jobs go on though nobody asks.

        Raises StorageError where the storage cannot be had.
        """
        await self._asked(lambda controller: controller.open.remote(), OPENS_WITHIN_S)

    async def faults(self) -> list[str]:
        """See JobBackend.faults."""
        try:
            own: list[str] = await self._asked(
                lambda controller: controller.faults.remote(), FAULTS_WITHIN_S
            )
        except PromptrayError as problem:
            own = [f"The controller of jobs cannot be asked: {problem}"]
        return own + self._follower.faults(LASTING)

    async def create(
        self, principal: Principal, request: OptimizationRequest, idempotency_key: str | None = None
    ) -> Optimization:
        admit(request, self._service)
        id = f"opt-{secrets.token_hex(12)}"
        asked = await self._checks.run(
            principal.owner,
            planned,
            request,
            self._service,
            self._store.results(id).place,
            principal,
        )
        await self._reach(principal, asked)
        filed = Filed(id, 0, principal.owner, int(time.time()), request, idempotency_key)
        return await self._asked(
            lambda controller: controller.create.remote(filed, self._limits(principal.owner))
        )

    async def estimate(
        self, principal: Principal, request: OptimizationRequest, probe: bool
    ) -> Estimate:
        admit(request, self._service)
        told: Estimate
        told, asked = await self._checks.run(
            principal.owner, unmeasured, request, self._service, principal
        )
        await self._reach(principal, asked)
        if not probe:
            return told
        share = JobShare(self._controller, principal.owner, f"probe-{secrets.token_hex(8)}")
        try:
            return await self._probes.run(principal.owner, request, share)
        finally:
            await self.spend("close", principal.owner, share.job)

    async def _reach(self, principal: Principal, asked: Sequence[Question]) -> None:
        """As reach_all; what it asks is the owner's."""
        await self.spend(
            "note", principal.owner, Cost(target_calls=sum(not model.served for model, _ in asked))
        )
        await reach_all(asked)

    async def get(self, principal: Principal, id: str) -> Optimization:
        await self._expect_visible(principal, id)
        return await self._kept(id)

    async def page(
        self,
        principal: Principal,
        after: str | None,
        limit: int,
        status: str | None = None,
        owner: str | None = None,
    ) -> Page[Optimization]:
        every: list[Optimization] = await self._asked(lambda controller: controller.jobs.remote())
        own = [job for job in every if principal.may_see(job.owner) and owner in (None, job.owner)]
        return page_of(own, after, limit, status)

    async def cancel(self, principal: Principal, id: str) -> Optimization:
        await self._expect_visible(principal, id)
        return await self._asked(lambda controller: controller.cancel.remote(id))

    async def resume(self, principal: Principal, id: str) -> Optimization:
        owner = await self._expect_visible(principal, id)
        filed = await self._threads.run(principal.owner, self._store.filed, id)
        expect_offered(filed.request, self._service)
        return await self._asked(
            lambda controller: controller.resume.remote(id, self._limits(owner))
        )

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        await self._expect_visible(principal, id)
        return await self._read(principal.owner, lambda: self._store.events(id, after, limit))

    async def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        await self._expect_visible(principal, id)
        async for event in self._follower.follow(id, after):
            yield event

    async def settings(self, principal: Principal, id: str) -> ExperimentSettings:
        await self._expect_visible(principal, id)
        return await self._read(principal.owner, lambda: self._settings(id))

    async def results(self, principal: Principal, id: str) -> Folder:
        await self._expect_visible(principal, id)
        return self._store.results(id)

    async def ping(self) -> None:
        await self._asked(lambda controller: controller.ping.remote())

    async def spend(self, act: str, *given: Any) -> Any:
        """What the controller says of an owner's budget; see owner_budgets.ACTS.

        The owner comes first in `given`.
        """
        return await self._asked(
            lambda controller: controller.spend.remote(act, *given, limits=self._limits(given[0]))
        )

    async def quota(self, principal: Principal) -> Mapping[str, Any]:
        return await self._asked(lambda controller: controller.use.remote(principal.owner))

    def _settings(self, id: str) -> ExperimentSettings:
        """As the job wrote them, once it has started."""
        out, request = self._store.results(id), self._store.filed(id).request
        if not out.exists(SETTINGS_FILE):
            return experiment_settings(request, self._service, out)
        return kept_settings(request, self._service, out)

    async def _expect_visible(self, principal: Principal, id: str) -> str:
        """The job's owner. Raises NotFound, also where the caller may not see it."""
        if id not in self._owner_by_job:
            self._owner_by_job[id] = await self._owner(principal, id)
        if not principal.may_see(self._owner_by_job[id]):
            raise unknown_job(id)
        return self._owner_by_job[id]

    async def _owner(self, principal: Principal, id: str) -> str:
        """As the job's record says, or the controller where that is damaged. Raises NotFound."""
        if not _ID.fullmatch(id):
            raise unknown_job(id)
        try:
            return (await self._threads.run(principal.owner, self._store.filed, id)).owner
        except UserError:
            return (await self._kept(id)).owner

    async def _kept(self, id: str) -> Optimization:
        """What the controller says of a job. Raises NotFound."""
        try:
            job: Optimization = await self._asked(lambda controller: controller.get.remote(id))
        except NotFound:
            raise unknown_job(id) from None
        return job

    async def _read(self, owner: str, read: Callable[[], T]) -> T:
        """What is read of a job's files. Raises Damaged where that cannot be done."""
        try:
            return await self._threads.run(owner, read)
        except DataError as problem:
            raise Damaged(
                f"The files of this job are damaged: {self._store.plain(problem)}"
            ) from problem

    async def _events_there(self, id: str) -> list[Event]:
        return await self._read(OWN, lambda: self._store.events(id))

    async def _news(
        self, after_by_job: Mapping[str, int], timeout_s: float
    ) -> dict[str, list[Event] | PromptrayError]:
        return await self._asked(
            lambda controller: controller.news.remote(dict(after_by_job), timeout_s),
            timeout_s + ANSWERS_WITHIN_S / 2,
        )

    async def _asked(
        self, question: Callable[[Any], Awaitable[T]], within_s: float = ANSWERS_WITHIN_S
    ) -> T:
        """What the controller says; one that is just coming back is asked again.

        Raises StorageError where it says nothing.
        """
        async with asyncio.timeout(OPENS_WITHIN_S), self._finding:
            self._controller = self._controller or await self._threads.run(
                OWN, open_controller, self._service
            )
        try:
            return await answered(question(self._controller), _OF, within_s)
        except (ActorUnavailableError, GetTimeoutError):
            return await answered(question(self._controller), _OF, within_s)
