"""The service as an attached application of the models' gateway: all its routes behind the
gateway's guard, in one application. Knows no Ray.
"""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError

from cluster.service.access.api_keys import Authenticator
from cluster.service.http.access_policy import LISTENERS, service_access_rule
from cluster.service.http.account import AccountRoutes
from cluster.service.http.deps import Service, bad_request, refuse
from cluster.service.http.downloads import Downloads
from cluster.service.http.events import Events
from cluster.service.http.files import Files
from cluster.service.http.headers import SafeHeaders
from cluster.service.http.health import PartsHealth
from cluster.service.http.job_results import Reading
from cluster.service.http.openapi import PATH, Document
from cluster.service.http.optimizations import Optimizations
from cluster.service.http.path_redaction import Discreet, told_by_place
from cluster.service.http.results import JobResults
from cluster.service.http.static import PageFiles
from optimizer.errors import PromptrayError
from optimizer.protocols import LanguageModel
from serving.gateway.app import AttachedApp, build_app
from serving.gateway.handlers import Meter


def service_app(
    service: Service,
    keys: Authenticator,
    models: Mapping[str, LanguageModel] | None = None,
    meter: Meter | None = None,
) -> FastAPI:
    """One application: the models' gateway, the service and the page.

    `meter` counts what callers ask of the models.
    """
    return build_app(models or {}, service.settings.gateway, keys, attached_app_of(service, meter))


def attached_app_of(service: Service, meter: Meter | None = None) -> AttachedApp:
    health = PartsHealth(service)
    return AttachedApp(
        lambda app: _add(app, service),
        service_access_rule,
        LISTENERS,
        service.settings.upload_bytes,
        health.failing,
        meter,
    )


def _add(app: FastAPI, service: Service) -> None:
    reading = Reading(service)
    for part in (
        Files(service),
        Optimizations(service),
        Events(service),
        JobResults(reading),
        Downloads(reading),
        AccountRoutes(service),
    ):
        app.include_router(part.router())
    app.add_api_route(PATH, Document(app).answer, include_in_schema=False)
    app.include_router(PageFiles(service.page).router())
    app.add_exception_handler(PromptrayError, refuse)
    app.add_exception_handler(RequestValidationError, bad_request)
    app.add_middleware(SafeHeaders)
    app.add_middleware(Discreet, told_by_place=told_by_place(service.settings))
