"""The gateway's HTTP application over models by public name: its routes.

Knows no engine, and no Ray.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from starlette.exceptions import HTTPException

from optimizer.protocols import LanguageModel
from serving.gateway.api_keys import Keys, RequestAuthenticator
from serving.gateway.body_reader import BodyLimits
from serving.gateway.errors import Refused
from serving.gateway.handlers import CompletionHandlers, Meter
from serving.gateway.health import Health
from serving.gateway.limits import Rate, SlotLimit
from serving.gateway.metrics import Metrics
from serving.gateway.middleware import HEALTH, AccessRule, ConcurrencyLimits, Guard, access_rule
from serving.gateway.origins import Sites
from serving.gateway.settings import GatewaySettings

UPLOADS = 32
"""Maximum number of concurrent uploads [ours]: each may take as long as its size allows."""
BODIES_TIMES = 4
"""So many times as many bodies may be in transit as there are slots for their requests [ours]."""


@dataclass(frozen=True)
class AttachedApp:
    """Another application behind the same guard."""

    add: Callable[[FastAPI], None]
    """Adds its routes to the application."""
    access_rules: Callable[[str, str], AccessRule]
    """Method and path -> how a request is admitted; called for the gateway's own paths too."""
    listeners: int
    """Maximum number of concurrent requests that only wait for events: they hold no slot of a
    request.
    """
    upload_bytes: int = 0
    """Maximum size of a file in a body that has an upload slot."""
    health: Callable[[], Awaitable[Mapping[str, str]]] | None = None
    """Returns which parts do not work, and why."""
    meter: Meter | None = None
    """Counts what callers spend on the models; None: nothing does."""


def build_app(
    models: Mapping[str, LanguageModel],
    settings: GatewaySettings | None = None,
    keys: RequestAuthenticator | None = None,
    attached_app: AttachedApp | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        models: The models by public name.
        settings: The gateway's settings; their own sources of keys are not read.
        keys: With keys, all routes but /healthz require one as a bearer token.
        attached_app: Another application behind the same guard.
    """
    settings = settings or GatewaySettings()
    metrics = Metrics()
    handlers = CompletionHandlers(
        models, settings, metrics, attached_app.meter if attached_app else None
    )
    app = FastAPI(
        title="promptray",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _unknown},
    )
    # Outside of FastAPI's routing, so that unknown paths need a key, too.
    app.add_middleware(
        Guard,
        authenticator=Keys() if keys is None else keys,
        sites=Sites(settings.host, settings.allowed_hosts),
        rate=Rate(settings.requests_per_minute),
        limits=_limits(settings, attached_app),
        metrics=metrics,
        access_rules=attached_app.access_rules if attached_app else access_rule,
    )
    app.add_api_route(HEALTH, Health(attached_app.health if attached_app else None).answer)
    app.add_api_route("/metrics", handlers.metrics)
    app.add_api_route("/v1/models", handlers.models)
    app.add_api_route("/v1/models/{label:path}", handlers.model)
    app.add_api_route("/v1/chat/completions", handlers.chat, methods=["POST"])
    app.add_api_route("/v1/completions", handlers.completions, methods=["POST"])
    if attached_app is not None:
        attached_app.add(app)
    return app


def _limits(settings: GatewaySettings, attached_app: AttachedApp | None) -> ConcurrencyLimits:
    most, own = settings.max_in_flight, settings.most_per_owner
    listeners = attached_app.listeners if attached_app else 0
    body = BodyLimits(settings.max_body_bytes, settings.body_timeout_s)
    upload = (
        BodyLimits(attached_app.upload_bytes, settings.body_timeout_s) if attached_app else body
    )
    return ConcurrencyLimits(
        SlotLimit(most, own),
        SlotLimit(BODIES_TIMES * most, own),
        SlotLimit(listeners, listeners // 2),
        SlotLimit(UPLOADS, UPLOADS // 4),
        body,
        upload,
    )


async def _unknown(http: HttpRequest, problem: Exception) -> NoReturn:
    """Raise what the framework reports on a path or a method, in OpenAI's form."""
    assert isinstance(problem, HTTPException)
    # Raised inside the framework's own reading of a body.
    if isinstance(problem.__cause__, Refused):
        raise problem.__cause__
    code = {404: "unknown_url", 405: "method_not_allowed"}.get(
        problem.status_code, "invalid_request"
    )
    reason = f"{http.method[:20]} {http.url.path[:100]}: {str(problem.detail).rstrip('.')}."
    raise Refused(problem.status_code, code, reason, headers=problem.headers)
