"""/v1/optimizations: create, estimate, list, get, cancel, resume.

Knows the backend, and no results.
"""

from contextlib import nullcontext
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from cluster.service.http.deps import ERRORS, Asking, Service, sheet
from cluster.service.schemas import Estimate, JobStatus, Optimization, OptimizationRequest, Page

JobId = Annotated[
    str, Path(description="Id of the optimization.", examples=["opt-3f2a9c0b1d4e5f60"])
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="The same key of the same owner gives the same job again.",
    ),
]


class Optimizations:
    """The jobs themselves."""

    def __init__(self, service: Service) -> None:
        self._backend = service.backend
        self._audit = service.audit

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/optimizations", tags=["optimizations"], responses=ERRORS)
        router.add_api_route(
            "",
            self.create,
            methods=["POST"],
            response_model=Optimization,
            summary="Start an optimization",
        )
        router.add_api_route(
            "",
            self.page,
            methods=["GET"],
            response_model=Page[Optimization],
            summary="List optimizations",
        )
        router.add_api_route(
            "/estimate",
            self.estimate,
            methods=["POST"],
            response_model=Estimate,
            summary="What it may cost",
        )
        router.add_api_route(
            "/{id}",
            self.get,
            methods=["GET"],
            response_model=Optimization,
            summary="One optimization",
        )
        router.add_api_route(
            "/{id}/cancel",
            self.cancel,
            methods=["POST"],
            response_model=Optimization,
            summary="Cancel it",
        )
        router.add_api_route(
            "/{id}/resume",
            self.resume,
            methods=["POST"],
            response_model=Optimization,
            summary="Go on with it",
        )
        return router

    async def create(
        self, asking: Asking, request: OptimizationRequest, key: Key = None
    ) -> Response:
        """Checks the request as `promptray run` does, and queues it."""
        async with self._audit.noted(asking, "optimization.create") as note:
            job = await self._backend.create(asking, request, key)
            note.subject = job.id
        return sheet(job)

    async def estimate(
        self,
        asking: Asking,
        request: OptimizationRequest,
        probe: Annotated[
            bool, Query(description="Ask the models, as promptray check does; it costs as much.")
        ] = False,
    ) -> Response:
        """How many calls, tokens and how much money it may take at most, and whether it can pay."""
        async with self._audit.noted(asking, "optimization.probe") if probe else nullcontext():
            return sheet(await self._backend.estimate(asking, request, probe))

    async def page(
        self,
        asking: Asking,
        after: Annotated[
            str | None, Query(description="The last_id of the page before.", max_length=100)
        ] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        status: Annotated[JobStatus | None, Query()] = None,
        owner: Annotated[
            str | None, Query(description="Of this owner alone, for admins.", max_length=200)
        ] = None,
    ) -> Response:
        """The newest first: your own, and everybody's for an admin."""
        return sheet(await self._backend.page(asking, after, limit, status, owner))

    async def get(self, asking: Asking, id: JobId) -> Response:
        return sheet(await self._backend.get(asking, id))

    async def cancel(self, asking: Asking, id: JobId) -> Response:
        """Every finished call is kept, so the job can be resumed."""
        async with self._audit.noted(asking, "optimization.cancel", id):
            return sheet(await self._backend.cancel(asking, id))

    async def resume(self, asking: Asking, id: JobId) -> Response:
        """Queues a failed or cancelled job again; what was paid for is not paid for again."""
        async with self._audit.noted(asking, "optimization.resume", id):
            return sheet(await self._backend.resume(asking, id))
