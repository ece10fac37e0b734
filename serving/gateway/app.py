"""The door's HTTP application over models by public name: which path leads where. Knows no engine, and no Ray."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from starlette.exceptions import HTTPException

from optimizer.protocols import LanguageModel
from serving.gateway.api_keys import Gate, Keys
from serving.gateway.body_reader import BodyLimits
from serving.gateway.errors import Refused
from serving.gateway.handlers import Desk, Meter
from serving.gateway.health import Health
from serving.gateway.limits import Places, Rate
from serving.gateway.metrics import Metrics
from serving.gateway.middleware import HEALTH, Guard, Passage, Room, passage
from serving.gateway.origins import Sites
from serving.gateway.settings import DoorSettings

UPLOADS = 32
"""At once [ours]: each may take as long as its size allows."""
BODIES_TIMES = 4
"""So many times as many bodies may be on their way as there are places for what they ask [ours]."""


@dataclass(frozen=True)
class Annex:
    """What else stands behind the same guard."""

    add: Callable[[FastAPI], None]
    """Puts its routes into the application."""
    passages: Callable[[str, str], Passage]
    """Method and path -> how a request is let in; asked for the door's own paths too."""
    listeners: int
    """Requests at once that only wait for news: they hold no place of a question."""
    upload_bytes: int = 0
    """Of the largest file in a body that has a place of an upload."""
    health: Callable[[], Awaitable[Mapping[str, str]]] | None = None
    """Which parts do not work, and why."""
    meter: Meter | None = None
    """Who counts what callers ask of the models; None: nobody."""


def build_app(
    models: Mapping[str, LanguageModel], settings: DoorSettings | None = None, keys: Gate | None = None, annex: Annex | None = None
) -> FastAPI:
    """The application. With `keys`, all but /healthz wants one as a bearer token; the settings' own sources are not read."""
    settings = settings or DoorSettings()
    metrics = Metrics()
    desk = Desk(models, settings, metrics, annex.meter if annex else None)
    app = FastAPI(
        title="promptray", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
        exception_handlers={HTTPException: _unknown})
    app.add_middleware(
        Guard, gate=Keys() if keys is None else keys, sites=Sites(settings.host, settings.allowed_hosts),
        rate=Rate(settings.requests_per_minute), room=_room(settings, annex), metrics=metrics,
        passages=annex.passages if annex else passage)
    app.add_api_route(HEALTH, Health(annex.health if annex else None).answer)
    app.add_api_route("/metrics", desk.metrics)
    app.add_api_route("/v1/models", desk.models)
    app.add_api_route("/v1/models/{label:path}", desk.model)
    app.add_api_route("/v1/chat/completions", desk.chat, methods=["POST"])
    app.add_api_route("/v1/completions", desk.completions, methods=["POST"])
    if annex is not None:
        annex.add(app)
    return app


def _room(settings: DoorSettings, annex: Annex | None) -> Room:
    most, own = settings.max_in_flight, settings.most_per_owner
    listeners = annex.listeners if annex else 0
    body = BodyLimits(settings.max_body_bytes, settings.body_timeout_s)
    upload = BodyLimits(annex.upload_bytes, settings.body_timeout_s) if annex else body
    return Room(
        Places(most, own), Places(BODIES_TIMES * most, own), Places(listeners, listeners // 2), Places(UPLOADS, UPLOADS // 4), body,
        upload)


async def _unknown(http: HttpRequest, problem: Exception) -> NoReturn:
    """What the framework says of a path or a method, in our form."""
    assert isinstance(problem, HTTPException)
    if isinstance(problem.__cause__, Refused):  # from under the framework's own reading of a body
        raise problem.__cause__
    code = {404: "unknown_url", 405: "method_not_allowed"}.get(problem.status_code, "invalid_request")
    reason = f"{http.method[:20]} {http.url.path[:100]}: {str(problem.detail).rstrip('.')}."
    raise Refused(problem.status_code, code, reason, headers=problem.headers)
