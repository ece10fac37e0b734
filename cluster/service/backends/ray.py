"""The backend of a replica of the API: it checks ownership and requests, and calls the controller.

Knows the controller as an actor on Ray, and the storage. It is called from an event loop: what
blocks goes to threads, and what reads a stranger's data to processes that can be killed.
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
from cluster.service.access.admission import expect_named
from cluster.service.access.spenders import JobShare
from cluster.service.backends.broadcast import EventBroadcaster
from cluster.service.backends.estimates import Probes, planned, reach_all, unmeasured
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Conflict, Damaged, NotFound
from cluster.service.core.job_record import Filed
from cluster.service.core.pagination import page_of, unknown_job
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from cluster.service.jobs.controller_actor import open_controller
from cluster.service.jobs.evaluation_mapping import checked_questions
from cluster.service.jobs.request_mapping import admit, experiment_settings, stored_settings
from cluster.service.schemas import (
    EVALUATION_ID,
    Estimate,
    EvaluationRequest,
    Event,
    Job,
    JobKind,
    OptimizationRequest,
    Page,
)
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
_ID = re.compile(r"(?:opt|eval)-[0-9A-Za-z]{1,64}")
"""The form of a job's id. It becomes the name of a folder, so no other text is looked up."""
_SERVICE = "the service"
ANSWERS_WITHIN_S = 60.0
"""Seconds that the controller may take to answer.

It waits for its storage, and at the start for the models; a caller gets an error after this time,
and may try again [ours].
"""
OPENS_WITHIN_S = STARTS_WITHIN_S + 60.0
"""Seconds that the controller may take to start."""
FAULTS_WITHIN_S = 5.0
"""Seconds that the controller may take to list its faults."""
Limits = Callable[[str], QuotaSettings]
"""Owner -> quota."""


class RayBackend:
    """A JobBackend over the controller's actor; for one event loop.

    Any number of them, in several processes, agree.
    """

    def __init__(
        self,
        service: ServiceSettings,
        limits: Limits | None = None,
        checks: CheckPool | None = None,
        threads: ReadingThreads | None = None,
    ) -> None:
        """Wire the backend up; the controller is looked for at the first call.

        Args:
            service: The service's settings.
            limits: Gives the quota of an owner; None: the service's quota for everybody.
            checks: Processes for checks; None: its own.
            threads: Threads for reading files; None: its own.
        """
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
        self._follower = EventBroadcaster(self._events_since, self._stored_events)

    async def open(self) -> None:
        """Start the controller if none runs, so that jobs go on before anybody calls.

        Raises:
            StorageError: Another process holds the storage, or it does not answer.
        """
        await self._call(lambda controller: controller.open.remote(), OPENS_WITHIN_S)

    async def faults(self) -> list[str]:
        """See JobBackend.faults."""
        try:
            own: list[str] = await self._call(
                lambda controller: controller.faults.remote(), FAULTS_WITHIN_S
            )
        except PromptrayError as problem:
            own = [f"The controller of jobs does not answer: {problem}"]
        return own + self._follower.faults(LASTING)

    async def create(
        self,
        principal: Principal,
        request: OptimizationRequest | EvaluationRequest,
        idempotency_key: str | None = None,
    ) -> Job:
        """See JobBackend.create."""
        admit(request, self._service)
        evaluates = isinstance(request, EvaluationRequest)
        id = f"{EVALUATION_ID if evaluates else 'opt-'}{secrets.token_hex(12)}"
        questions = await self._checks.run(
            principal.owner,
            checked_questions if evaluates else planned,
            request,
            self._service,
            self._store.results(id).place,
            principal,
        )
        await self._reach(principal, questions)
        filed = Filed(id, 0, principal.owner, int(time.time()), request, idempotency_key)
        return await self._call(
            lambda controller: controller.create.remote(filed, self._limits(principal.owner))
        )

    async def estimate(
        self, principal: Principal, request: OptimizationRequest, probe: bool
    ) -> Estimate:
        """See JobBackend.estimate."""
        admit(request, self._service)
        estimate: Estimate
        estimate, questions = await self._checks.run(
            principal.owner, unmeasured, request, self._service, principal
        )
        await self._reach(principal, questions)
        if not probe:
            return estimate
        share = JobShare(self._controller, principal.owner, f"probe-{secrets.token_hex(8)}")
        try:
            return await self._probes.run(principal.owner, request, share)
        finally:
            await self.spend("close", principal.owner, share.job)

    async def _reach(self, principal: Principal, questions: Sequence[Question]) -> None:
        """Ask the first questions of the models, at the owner's cost; see reach_all."""
        await self.spend(
            "note",
            principal.owner,
            Cost(target_calls=sum(not model.served for model, _ in questions)),
        )
        await reach_all(questions)

    async def get(self, principal: Principal, id: str) -> Job:
        """See JobBackend.get."""
        await self._expect_visible(principal, id)
        return await self._job(id)

    async def page(
        self,
        principal: Principal,
        after: str | None,
        limit: int,
        status: str | None = None,
        owner: str | None = None,
        kind: JobKind | None = None,
    ) -> Page[Job]:
        """See JobBackend.page."""
        jobs: list[Job] = await self._call(lambda controller: controller.jobs.remote())
        own = [job for job in jobs if principal.may_see(job.owner) and owner in (None, job.owner)]
        return page_of(own, after, limit, status, kind)

    async def cancel(self, principal: Principal, id: str) -> Job:
        """See JobBackend.cancel."""
        await self._expect_visible(principal, id)
        return await self._call(lambda controller: controller.cancel.remote(id))

    async def resume(self, principal: Principal, id: str) -> Job:
        """See JobBackend.resume."""
        owner = await self._expect_visible(principal, id)
        filed = await self._threads.run(principal.owner, self._store.filed, id)
        expect_named(filed.request, self._service)
        return await self._call(
            lambda controller: controller.resume.remote(id, self._limits(owner))
        )

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        """See JobBackend.events."""
        await self._expect_visible(principal, id)
        return await self._read(principal.owner, lambda: self._store.events(id, after, limit))

    async def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        """See JobBackend.follow."""
        await self._expect_visible(principal, id)
        async for event in self._follower.follow(id, after):
            yield event

    async def settings(self, principal: Principal, id: str) -> ExperimentSettings:
        """See JobBackend.settings."""
        await self._expect_visible(principal, id)
        return await self._read(principal.owner, lambda: self._settings(id))

    async def results(self, principal: Principal, id: str) -> Folder:
        """See JobBackend.results."""
        await self._expect_visible(principal, id)
        return self._store.results(id)

    async def ping(self) -> None:
        """See JobBackend.ping."""
        await self._call(lambda controller: controller.ping.remote())

    async def spend(self, act: str, *given: Any) -> Any:
        """Call a method of the controller's OwnerBudgets.

        Args:
            act: The name of the method, one of owner_budgets.ACTS.
            given: Its arguments; the owner is the first.
        """
        return await self._call(
            lambda controller: controller.spend.remote(act, *given, limits=self._limits(given[0]))
        )

    async def quota(self, principal: Principal) -> Mapping[str, Any]:
        """See JobBackend.quota."""
        return await self._call(lambda controller: controller.use.remote(principal.owner))

    def _settings(self, id: str) -> ExperimentSettings:
        """Return the settings that the job wrote, or before its start those of its request."""
        out, request = self._store.results(id), self._store.filed(id).request
        if isinstance(request, EvaluationRequest):
            raise Conflict(f"{id} is an evaluation, which has no trials and no settings of them.")
        if not out.exists(SETTINGS_FILE):
            return experiment_settings(request, self._service, out)
        return stored_settings(request, self._service, out)

    async def _expect_visible(self, principal: Principal, id: str) -> str:
        """Return the job's owner.

        Raises:
            NotFound: There is no such job, or the principal may not see it.
        """
        if id not in self._owner_by_job:
            self._owner_by_job[id] = await self._owner(principal, id)
        if not principal.may_see(self._owner_by_job[id]):
            raise unknown_job(id)
        return self._owner_by_job[id]

    async def _owner(self, principal: Principal, id: str) -> str:
        """Return the job's owner by its record, or by the controller if the record is damaged.

        Raises:
            NotFound: There is no such job.
        """
        if not _ID.fullmatch(id):
            raise unknown_job(id)
        try:
            return (await self._threads.run(principal.owner, self._store.filed, id)).owner
        except UserError:
            return (await self._job(id)).owner

    async def _job(self, id: str) -> Job:
        """Return a job from the controller.

        Raises:
            NotFound: There is no such job.
        """
        try:
            job: Job = await self._call(lambda controller: controller.get.remote(id))
        except NotFound:
            raise unknown_job(id) from None
        return job

    async def _read(self, owner: str, read: Callable[[], T]) -> T:
        """Read a job's files in a thread.

        Raises:
            Damaged: They cannot be read.
        """
        try:
            return await self._threads.run(owner, read)
        except DataError as problem:
            raise Damaged(
                f"The files of this job are damaged: {self._store.plain(problem)}"
            ) from problem

    async def _stored_events(self, id: str) -> list[Event]:
        return await self._read(OWN, lambda: self._store.events(id))

    async def _events_since(
        self, after_by_job: Mapping[str, int], timeout_s: float
    ) -> dict[str, list[Event] | PromptrayError]:
        return await self._call(
            lambda controller: controller.events_since.remote(dict(after_by_job), timeout_s),
            timeout_s + ANSWERS_WITHIN_S / 2,
        )

    async def _call(
        self, method: Callable[[Any], Awaitable[T]], within_s: float = ANSWERS_WITHIN_S
    ) -> T:
        """Return the controller's answer; one that has just restarted is called a second time.

        Args:
            method: Makes the call on the controller's handle.
            within_s: How long the answer may take.

        Raises:
            StorageError: The controller does not answer.
        """
        async with asyncio.timeout(OPENS_WITHIN_S), self._finding:
            self._controller = self._controller or await self._threads.run(
                OWN, open_controller, self._service
            )
        try:
            return await answered(method(self._controller), _SERVICE, within_s)
        except (ActorUnavailableError, GetTimeoutError):
            return await answered(method(self._controller), _SERVICE, within_s)
