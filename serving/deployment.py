"""Hosts models on Ray Serve: one application a model, one deployment class for all engines. Knows no engine by name.

Models are called by handle; no HTTP proxy runs unless the door (openai_api.py) is opened.
"""

import hashlib
import logging
from collections.abc import Sequence

from ray import serve
from ray.serve.api import RunTarget
from ray.serve.schema import ApplicationStatus, LoggingConfig

from optimizer.errors import EndpointError
from optimizer.types import Outcome, Request
from serving.settings import Hostable

MAX_ONGOING_CHUNKS = 16
"""Handle calls that one replica works on. An engine batches inside a chunk, so a few are enough to keep it busy; the rest wait at
the callers, where a free replica can still take them."""
QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
"""Serve logs to its files only what is wrong."""


class ModelReplica:
    """One engine in one replica, built there from its settings."""

    def __init__(self, model: Hostable) -> None:
        self._engine = model.engine()

    async def complete(self, requests: list[Request]) -> list[Outcome]:
        """One outcome a request, in order."""
        return await self._engine.complete(requests)

    def __del__(self) -> None:
        if hasattr(self, "_engine"):
            self._engine.close()


def app_name(model: Hostable) -> str:
    """The Serve application of a model: the same for the same settings, different for different ones."""
    return f"model-{hashlib.sha256(model.identity.encode()).hexdigest()[:10]}"


def host(models: Sequence[Hostable], *, http_port: int | None = None, http_host: str = "127.0.0.1") -> list[str]:
    """Hosts each model and waits until its replicas run; returns the application names, in order. A model that runs stays as it is.

    Serve starts without an HTTP proxy, unless `http_port` is given. Needs a running Ray (`ray.init`). Raises EndpointError where a
    replica does not start.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    if http_port is None:
        serve.start(proxy_location="Disabled", logging_config=QUIET)
    else:
        serve.start(proxy_location="HeadOnly", http_options={"host": http_host, "port": http_port}, logging_config=QUIET)
    running = {app for app, state in serve.status().applications.items() if state.status == ApplicationStatus.RUNNING}
    model_by_app = {app_name(model): model for model in models}
    # Deployed again, a running model would lose its replicas and what they work on.
    targets = [RunTarget(_application(model), app, None, QUIET) for app, model in model_by_app.items() if app not in running]
    if targets:
        try:
            serve.run_many(targets)
        except RuntimeError as problem:
            raise EndpointError(f"A model could not be hosted: {problem}.") from problem
    return [app_name(model) for model in models]


def _application(model: Hostable) -> serve.Application:
    """Replicas ask Ray for no CPU: trials are what Ray has to place, and an engine's threads are bounded by its own settings."""
    deployment = serve.deployment(
        name=model.label.replace(":", "-").replace("/", "-"), num_replicas=model.replicas, max_ongoing_requests=MAX_ONGOING_CHUNKS,
        ray_actor_options={"num_cpus": 0}, graceful_shutdown_timeout_s=5, health_check_period_s=5)(ModelReplica)
    return deployment.bind(model)


def shut_down() -> None:
    """Takes every model off this cluster."""
    serve.shutdown()  # type: ignore[no-untyped-call]
