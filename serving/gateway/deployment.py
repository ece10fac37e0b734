"""The gateway on Ray Serve: one more deployment in the application of its models, with HTTP.

Knows Serve, and nothing of OpenAI's protocol. The gateway is never open to other machines without
keys: that is checked before it is opened from here, and again in every replica, which gets the real
address from Serve, as a deployment file may set another.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

import ray
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayError
from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE
from ray.serve.api import RunTarget

from optimizer.errors import EndpointError, shortened
from optimizer.protocols import LanguageModel
from serving.gateway.app import BODIES_TIMES, UPLOADS, build_app
from serving.gateway.settings import GatewaySettings, expect_guarded
from serving.hosting.deployment import LOOK_EVERY_S, QUIET, START_ATTEMPTS, start
from serving.settings import ModelSettings

Connect = Callable[[ModelSettings], LanguageModel]
"""Makes a model's client in a replica of the gateway (`models.connect`)."""
GATEWAY = "door"
"""Name of the deployment and, where `open_gateway` opens it, of the application."""
STOP_S = 30.0
"""Seconds that a stopping replica has for the answers in flight."""
LISTENS_WITHIN_S = 5.0
"""Time until Serve's proxy listens, on a busy machine; one on another port never does [ours]."""
KNOWN_WITHIN_S = 10.0
SERVE_SAYS_WITHIN_S = 60.0


class _NoRedirects(HTTPRedirectHandler):
    """A handler that follows no redirect: one on this port comes from another server."""

    def redirect_request(self, *args: Any, **how: Any) -> None:
        """Return None, so that the redirect is an HTTPError."""


_direct = build_opener(_NoRedirects, ProxyHandler({}))
"""An opener for this machine alone: neither redirects nor the proxies of the environment."""


def bind_gateway(
    settings: GatewaySettings,
    models: Sequence[ModelSettings],
    hosted: Mapping[str, serve.Application],
    connect: Connect,
) -> serve.Application:
    """Return the gateway to `models` as an application.

    Replicas read the keys themselves, from their own environment and files: no key is in the
    application.

    Args:
        settings: The gateway's settings.
        models: Settings of all models.
        hosted: Bound applications of the models hosted here, by label, which are deployed with it.
        connect: Makes each model's client, in the replicas.
    """
    application: serve.Application = deployed(_Replica, settings).bind(
        settings, tuple(models), connect, tuple(hosted.values())
    )
    return application


def deployed(replica: type, settings: GatewaySettings, listeners: int = 0) -> Any:
    """Return the gateway's deployment, to be bound.

    Args:
        replica: Makes the ASGI application when Serve asks for it.
        settings: The gateway's settings.
        listeners: Maximum number of concurrent requests that only wait for events.
    """
    gateway = serve.deployment(
        name=GATEWAY,
        num_replicas=settings.replicas,
        graceful_shutdown_timeout_s=STOP_S,
        max_constructor_retry_count=START_ATTEMPTS,
        # Above our own limits, whose refusals are in OpenAI's form; Serve's are not, and keep all
        # owners waiting.
        max_ongoing_requests=2 * BODIES_TIMES * settings.max_in_flight + UPLOADS + listeners,
        ray_actor_options={"num_cpus": 0},
    )
    return gateway(serve.ingress()(replica))


def open_gateway(application: serve.Application, settings: GatewaySettings) -> str:
    """Run an application whose ingress is the gateway, and return the gateway's base URL.

    It does not block. Ray's own token does not protect this port.

    Raises:
        SettingsError: If the gateway would be open to other machines without a key, or a source of
            keys holds none.
        EndpointError: If the port is not available, or a model does not start.
    """
    expect_guarded(settings.host, settings.keys())
    return listen(application, settings)


def listen(application: serve.Application, settings: GatewaySettings) -> str:
    """Run an application whose guard was checked, as `open_gateway` does.

    Raises:
        EndpointError: If the port is not available, or a model does not start.
    """
    options = {"host": settings.host, "port": settings.port}
    try:
        serve.start(proxy_location="HeadOnly", http_options=options, logging_config=QUIET)
    except (RayError, RuntimeError, OSError) as problem:
        # The proxy of Serve reports at great length that the port is taken.
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[-1]
        raise EndpointError(
            f"Serve cannot listen on {_bracketed(settings.host)}:{settings.port} "
            f"({shortened(reason)}): choose another port with "
            "--port."
        ) from problem
    start([RunTarget(application, GATEWAY, "/", QUIET)])
    _expect_open(settings.host, settings.port)
    return f"http://{_bracketed(settings.host)}:{settings.port}/v1"


class _Replica:
    """Builds FastAPI's application in a replica.

    The handles of the models are not used: clients find their deployments.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        models: tuple[ModelSettings, ...],
        connect: Connect,
        handles: tuple[object, ...],
    ) -> None:
        self._settings = settings
        self._models = models
        self._connect = connect

    async def __serve_build_asgi_app__(self) -> FastAPI:
        """Build the application; Serve calls it by this name when the replica starts."""
        # Read in the replica: no key travels through Serve.
        keys = self._settings.keys()
        expect_guarded(await real_host(), keys)
        return build_app(clients(self._models, self._settings, self._connect), self._settings, keys)


def clients(
    models: Sequence[ModelSettings], settings: GatewaySettings, connect: Connect
) -> dict[str, LanguageModel]:
    """Return clients of the models by label, with the gateway's limits."""
    # A model hosted here gets as many concurrent calls as the gateway accepts requests: a trial's
    # few chunks would leave its engine idle, as here each request is a chunk of its own. An outage
    # of an endpoint is reported to the gateway's callers, who wait as they like.
    hosted, remote = {"chunks_in_flight": settings.max_in_flight}, {"outage_s": 0.0}
    return {
        model.label: connect(model.model_copy(update=hosted if model.served else remote))
        for model in models
    }


async def real_host() -> str | None:
    """Return the address that Serve listens on; None: it does not listen.

    It is that of its first start, whatever was requested later.
    """
    controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    try:
        async with asyncio.timeout(SERVE_SAYS_WITHIN_S):
            options = await controller.get_http_config.remote()
    except TimeoutError:
        raise EndpointError(
            f"Serve has not reported within {SERVE_SAYS_WITHIN_S:g} s where it listens."
        ) from None
    host: str | None = options.host
    return host


def _expect_open(host: str, port: int) -> None:
    """Check that the gateway answers.

    A Serve that runs already silently keeps its own HTTP settings.

    Raises:
        EndpointError: If it does not answer.
    """
    near = _bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))
    try:
        answer = _answer(f"http://{near}:{port}/healthz")
    except OSError as problem:
        raise EndpointError(
            f"The gateway does not answer on {host}:{port} ({problem}); if Serve runs on this "
            "cluster with another port, shut it down "
            "first, or choose that port."
        ) from problem
    if b"ok" not in answer:
        raise EndpointError(f"Something else answers on {host}:{port}: choose another port.")


def _answer(url: str) -> bytes:
    """Return the beginning of the reply.

    Serve's proxy listens a moment after it was started, and learns of the gateway a moment after
    that runs; until then it refuses connections, or knows no such page. A part of the gateway may
    need another moment, too.
    """
    begun = time.monotonic()
    ends_at = begun + KNOWN_WITHIN_S
    while True:
        try:
            with _direct.open(url, timeout=10) as reply:
                beginning: bytes = reply.read(100)
                return beginning
        except HTTPError as problem:
            problem.close()
            if problem.code not in (404, 503) or time.monotonic() > ends_at:
                raise
        except URLError:
            if time.monotonic() > begun + LISTENS_WITHIN_S:
                raise
        time.sleep(LOOK_EVERY_S)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
