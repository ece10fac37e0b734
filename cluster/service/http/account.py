"""/v1/catalogue, /v1/me and /v1/audit: what a job may name, whose the key is, who did what."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from cluster.registry import catalogue
from cluster.service.http.deps import ERRORS, CurrentAdmin, CurrentPrincipal, Service, sheet
from cluster.service.schemas import (
    AuditEntry,
    Catalogue,
    Me,
    OfferedModel,
    OptimizationRequest,
    Page,
    Quota,
)


class AccountRoutes:
    """Routes that are about no single job."""

    def __init__(self, service: Service) -> None:
        """Serve from the parts of a replica."""
        self._service = service

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/v1", tags=["service"], responses=ERRORS)
        router.add_api_route(
            "/catalogue",
            self.catalogue,
            methods=["GET"],
            response_model=Catalogue,
            summary="What a job may name",
        )
        router.add_api_route(
            "/me",
            self.me,
            methods=["GET"],
            response_model=Me,
            summary="Whose key this is, and what it may use",
        )
        router.add_api_route(
            "/audit",
            self.audit,
            methods=["GET"],
            response_model=Page[AuditEntry],
            summary="Who did what",
        )
        return router

    async def catalogue(self, principal: CurrentPrincipal) -> Response:
        """List models, strategies, selection rules, tasks and scorers, and the defaults."""
        models = [
            OfferedModel(
                label=model.label, stand_in=model.stand_in, priced=model.prices is not None
            )
            for model in self._service.settings.parsed
        ]
        lines_by_title = catalogue()
        generated = next(
            lines for title, lines in lines_by_title.items() if title.startswith("Generated tasks")
        )
        fields = OptimizationRequest.model_fields
        known = {name: one.get_default() for name, one in fields.items() if not one.is_required()}
        defaults = OptimizationRequest.model_construct(**known)
        return sheet(
            Catalogue(
                targets=models,
                optimizers=models,
                strategies=lines_by_title["Strategies"],
                selection_rules=lines_by_title["Selection rules"],
                generated_tasks=generated,
                scorers=lines_by_title["Graders"],
                defaults=defaults.model_dump(mode="json", include=set(known)),
            )
        )

    async def me(self, principal: CurrentPrincipal) -> Response:
        """Return the key's owner, whether it is an admin's, and the quota with its use."""
        limits = self._service.quota(principal.owner)
        used = await self._service.backend.quota(principal)
        return sheet(
            Me(
                owner=principal.owner,
                admin=principal.admin,
                quota=Quota(**limits.model_dump(), **used),
            )
        )

    async def audit(
        self,
        principal: CurrentAdmin,
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """List the audit log, the newest first; for admins."""
        return sheet(
            await self._service.in_thread(principal, self._service.audit.page, after, limit)
        )
