"""/v1/optimizations: create, estimate, list, get, cancel, resume.

Knows the backend, and no results.
"""

from contextlib import nullcontext
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from cluster.service.core.pagination import unknown_job
from cluster.service.http.deps import ERRORS, CurrentPrincipal, Service, sheet
from cluster.service.schemas import (
    Estimate,
    JobStatus,
    Optimization,
    OptimizationRequest,
    Page,
    kind_of,
)

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
After = Annotated[
    str | None, Query(description="The last_id of the previous page.", max_length=100)
]
Limit = Annotated[int, Query(ge=1, le=100)]
Status = Annotated[JobStatus | None, Query()]
Owner = Annotated[str | None, Query(description="Only of this owner; for admins.", max_length=200)]


class Optimizations:
    """Routes to the jobs themselves."""

    def __init__(self, service: Service) -> None:
        """Serve from the parts of a replica."""
        self._backend = service.backend
        self._audit = service.audit

    def router(self) -> APIRouter:
        """Return the routes."""
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
        self, principal: CurrentPrincipal, request: OptimizationRequest, key: Key = None
    ) -> Response:
        """Check the request as `promptray run` does, and queue it."""
        async with self._audit.recorded(principal, "optimization.create") as note:
            job = await self._backend.create(principal, request, key)
            note.subject = job.id
        return sheet(job)

    async def estimate(
        self,
        principal: CurrentPrincipal,
        request: OptimizationRequest,
        probe: Annotated[
            bool, Query(description="Call the models, as promptray check does; it costs as much.")
        ] = False,
    ) -> Response:
        """Estimate the calls, tokens and money that it may take at most, and the headroom."""
        async with (
            self._audit.recorded(principal, "optimization.probe") if probe else nullcontext()
        ):
            return sheet(await self._backend.estimate(principal, request, probe))

    async def page(
        self,
        principal: CurrentPrincipal,
        after: After = None,
        limit: Limit = 20,
        status: Status = None,
        owner: Owner = None,
    ) -> Response:
        """List the newest first: your own, and everybody's for an admin."""
        return sheet(
            await self._backend.page(principal, after, limit, status, owner, "optimization")
        )

    async def get(self, principal: CurrentPrincipal, id: JobId) -> Response:
        """Return one optimization."""
        return sheet(await self._backend.get(principal, optimization(id)))

    async def cancel(self, principal: CurrentPrincipal, id: JobId) -> Response:
        """Cancel it; every finished call is recorded, so it can be resumed."""
        async with self._audit.recorded(principal, "optimization.cancel", id):
            return sheet(await self._backend.cancel(principal, optimization(id)))

    async def resume(self, principal: CurrentPrincipal, id: JobId) -> Response:
        """Queue a failed or cancelled job again; what was paid for is not paid for again."""
        async with self._audit.recorded(principal, "optimization.resume", id):
            return sheet(await self._backend.resume(principal, optimization(id)))


def optimization(id: str) -> str:
    """Return the id of an optimization.

    Raises:
        NotFound: It is that of another job.
    """
    if kind_of(id) != "optimization":
        raise unknown_job(id)
    return id
