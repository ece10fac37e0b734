"""The application: all routes of the service behind the models' gateway. Knows no Ray."""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError

from cluster.service.access.api_keys import Authenticator
from cluster.service.http.access_policy import LISTENERS, service_access_rule
from cluster.service.http.account import AccountRoutes
from cluster.service.http.deps import Service, bad_request, refuse
from cluster.service.http.downloads import Downloads
from cluster.service.http.evaluations import Evaluations
from cluster.service.http.events import Events
from cluster.service.http.files import Files
from cluster.service.http.headers import SafeHeaders
from cluster.service.http.health import PartsHealth
from cluster.service.http.job_results import ResultsReader
from cluster.service.http.openapi import PATH, OpenApi
from cluster.service.http.optimizations import Optimizations
from cluster.service.http.path_redaction import PathRedaction, replacement_by_path
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
    """Return one application of the models' gateway, the service and the page.

    Args:
        service: The parts of a replica.
        keys: Finds out who makes a request.
        models: Label -> model, for the gateway.
        meter: Meters the calls of models at the gateway.
    """
    return build_app(models or {}, service.settings.gateway, keys, attached_app_of(service, meter))


def attached_app_of(service: Service, meter: Meter | None = None) -> AttachedApp:
    """Return the service as the gateway attaches it to its own application."""
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
    reader = ResultsReader(service)
    for part in (
        Files(service),
        Optimizations(service),
        Evaluations(reader),
        Events(service),
        Events(service, "evaluation"),
        JobResults(reader),
        Downloads(reader),
        AccountRoutes(service),
    ):
        app.include_router(part.router())
    app.add_api_route(PATH, OpenApi(app).answer, include_in_schema=False)
    app.include_router(PageFiles(service.page).router())
    app.add_exception_handler(PromptrayError, refuse)
    app.add_exception_handler(RequestValidationError, bad_request)
    app.add_middleware(SafeHeaders)
    app.add_middleware(PathRedaction, replacement_by_path=replacement_by_path(service.settings))
