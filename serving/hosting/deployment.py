"""Hosting of models on Ray Serve: one deployment for each model, one class for all engines.

Knows no engine by name: the caller passes the function that loads the engine in a replica
(`models.load_engine`). A deployment's name identifies its model, so a model is found by it in
whatever application it runs: in one of its own, where `host` put it for an experiment, or beside
others and a gateway (application.py). Models are called by handle, without HTTP.
"""

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from ray import serve
from ray.serve.api import RunTarget
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview, LoggingConfig

from optimizer.errors import (
    AccessError,
    EndpointError,
    PromptrayError,
    SettingsError,
    StorageError,
    UserError,
    shortened,
)
from optimizer.types import Outcome, Request
from serving.contracts.streaming import Piece
from serving.engines import Engine, EngineDied
from serving.settings import Hostable, Scaling

AFFINE_ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
HEALTH_CHECK_EVERY_S = 5.0
LEAVE_AFTER_S = 1.0
"""Seconds from the moment that a replica's engine is found dead to its exit: long enough to
answer its callers, who then call another replica.
"""
STARTS_WITHIN_S = 1800.0
"""Seconds from the request to host a model to its first replica: a large one has to be
downloaded and loaded, and a machine for it may have to be started first [ours].
"""
STOP_S = 120.0
"""Seconds that a stopping replica has for the chunks that it works on: they would have to be
paid for again.
"""
START_ATTEMPTS = 3
"""Attempts to start a replica, unless the user must fix something: that is reported at once."""
LOOK_EVERY_S = 0.1
"""Seconds between two checks at a start. Serve's own wait checks once a second, for the
deployment and again for its replicas.
"""
QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
"""Serve logs only warnings and errors to its files."""
_GONE = (ApplicationStatus.NOT_STARTED, ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.DELETING)
_ERROR_BY_NAME = {
    error.__name__: error for error in (SettingsError, AccessError, StorageError, EndpointError)
}
_OUR_ERROR = re.compile(
    rf"{re.escape(PromptrayError.__module__)}\.({'|'.join(_ERROR_BY_NAME)}): (.+)"
)
"""An error as the last line of a traceback has it, which is all that Serve reports of a replica
that did not start.
"""
T = TypeVar("T")
Model = TypeVar("Model", bound=Hostable)


class ModelReplica:
    """One engine in one replica, loaded there from its settings.

    Only the settings and a function's name travel. When the engine dies, the replica answers its
    callers with EngineDied and ends its process: Serve starts another in its place.
    """

    def __init__(self, model: Model, load: Callable[[Model], Engine]) -> None:
        self._engine = load(model)

    async def complete(self, requests: list[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order."""
        return await self._or_leave(self._engine.complete(requests))

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the pieces of one answer, and its outcome."""
        try:
            async for piece in self._engine.stream(request):
                yield piece
        except EngineDied:
            self._leave()
            raise

    async def check_health(self) -> None:
        """Check the engine; Serve calls this every HEALTH_CHECK_EVERY_S."""
        await self._or_leave(self._engine.check_health())

    def __del__(self) -> None:
        """Close the engine; Serve calls this when the replica stops and its calls are done."""
        if hasattr(self, "_engine"):
            self._engine.close()

    async def _or_leave(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except EngineDied:
            self._leave()
            raise

    def _leave(self) -> None:
        # Not by Serve's health checks: they would take three failures, and calls would come in all
        # the while.
        ending = threading.Timer(LEAVE_AFTER_S, os._exit, (1,))
        ending.daemon = True
        ending.start()


def deployment_name(model: Hostable) -> str:
    """Return the name of a model's deployment: the same for the same model only.

    It begins with the label, for people and for metrics.
    """
    slug = re.sub(r"[^a-z0-9.]+", "-", model.label.lower()).strip("-")[:48]
    return f"{slug}-{hashlib.sha256(model.identity.encode()).hexdigest()[:8]}"


def bind(model: Model, load: Callable[[Model], Engine]) -> serve.Application:
    """Return the model as an application of one deployment, or a part of a larger one.

    Args:
        model: The model.
        load: Loads the engine; called once in each replica, where its module must be found.
    """
    deployment = serve.deployment(
        name=deployment_name(model),
        ray_actor_options=model.actor_options,
        max_ongoing_requests=model.scaling.most_ongoing_chunks,
        graceful_shutdown_timeout_s=STOP_S,
        # Serve's own 2 s would add to every stop.
        graceful_shutdown_wait_loop_s=0.5,
        health_check_period_s=HEALTH_CHECK_EVERY_S,
        max_constructor_retry_count=START_ATTEMPTS,
        **_replicas(model.scaling),
        **_routing(model),
    )(ModelReplica)
    return deployment.bind(model, load)


def _replicas(scaling: Scaling) -> dict[str, Any]:
    if scaling.is_fixed:
        return {"num_replicas": scaling.min}
    return {
        "autoscaling_config": AutoscalingConfig(
            min_replicas=scaling.min,
            max_replicas=scaling.max,
            target_ongoing_requests=scaling.target_ongoing_chunks,
            upscale_delay_s=scaling.upscale_delay_s,
            downscale_delay_s=scaling.downscale_delay_s,
            downscale_to_zero_delay_s=scaling.to_zero_delay_s,
            look_back_period_s=scaling.look_back_s,
        )
    }


def _routing(model: Hostable) -> dict[str, Any]:
    if model.routing == "balanced":
        return {}
    return {"request_router_config": {"request_router_class": AFFINE_ROUTER}}


def find(deployment: str) -> str | None:
    """Return the application on this cluster that has the deployment, or will have it soon.

    It is None where there is none, or no Serve.
    """
    applications = serve.status().applications.items()
    return next(
        (
            app
            for app, state in applications
            if deployment in state.deployments and state.status not in _GONE
        ),
        None,
    )


def host(
    models: Sequence[Model], load: Callable[[Model], Engine], within_s: float = STARTS_WITHIN_S
) -> list[str]:
    """Host each model that is not on this cluster yet, and wait until its first replica runs.

    Needs a running Ray (`ray.init`). Serve, where it does not run yet, starts without an HTTP
    proxy.

    Args:
        models: The models.
        load: Loads the engine; called once in each replica, where its module must be found.
        within_s: Seconds to wait.

    Returns:
        The deployments' names, in order.

    Raises:
        EndpointError: As `start`.
        UserError: As `start`.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location="Disabled", logging_config=QUIET)
    model_by_name = {deployment_name(model): model for model in models}
    # Deployed again, a running model would lose its replicas and what they work on.
    missing = {name: model for name, model in model_by_name.items() if find(name) is None}
    start(
        [RunTarget(bind(model, load), name, None, QUIET) for name, model in missing.items()],
        within_s,
    )
    return [deployment_name(model) for model in models]


def start(targets: Sequence[RunTarget], within_s: float = STARTS_WITHIN_S) -> None:
    """Deploy applications, side by side, and return when their first replicas run.

    Raises:
        EndpointError: If a replica does not start in START_ATTEMPTS, or none runs after `within_s`
            seconds.
        UserError: If a replica reports a mistake that the user must fix; there is only one attempt
            then.
    """
    # Nothing to deploy, and nothing to wait for.
    if not targets:
        return
    serve.run_many(
        targets, wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
    )
    wait_for([target.name for target in targets], within_s)


def wait_for(apps: Sequence[str], within_s: float = STARTS_WITHIN_S) -> None:
    """Wait until the first replicas of some applications run.

    Raises:
        EndpointError: As `start`.
        UserError: As `start`.
    """
    ends_at = time.monotonic() + within_s
    while not _all_run(apps):
        if time.monotonic() >= ends_at:
            raise EndpointError(f"{_late(apps)} within {within_s:g} s.")
        time.sleep(LOOK_EVERY_S)


def _late(apps: Sequence[str]) -> str:
    """Return which models do not run, and Serve's message on them."""
    state_by_app = serve.status().applications
    late = [
        app
        for app in apps
        if app not in state_by_app or state_by_app[app].status != ApplicationStatus.RUNNING
    ]
    message = next(
        (
            deployment.message
            for app in late
            if app in state_by_app
            for deployment in state_by_app[app].deployments.values()
            if deployment.message
        ),
        "",
    )
    return (
        f"{', '.join(late)} could not be "
        f"hosted{f' ({shortened(message, 300).rstrip(chr(46))})' if message else ''}"
    )


def _all_run(apps: Sequence[str]) -> bool:
    """Return whether the first replicas of all these applications run.

    Raises:
        PromptrayError: If a replica of theirs has failed for good; its application is then deleted.
    """
    state_by_app = serve.status().applications
    for app in apps:
        state = state_by_app.get(app)
        if state is None:
            raise EndpointError(
                f"{app} was removed from this cluster while it was starting; start the same "
                "command again."
            )
        if state.status == ApplicationStatus.DEPLOY_FAILED:
            raise _reason(state) or EndpointError(
                f"A model could not be hosted: {state.message.rstrip('.')}."
            )
        if state.status != ApplicationStatus.RUNNING and isinstance(
            problem := _reason(state), UserError
        ):
            serve.delete(app, _blocking=False)
            raise problem
    return all(state_by_app[app].status == ApplicationStatus.RUNNING for app in apps)


def _reason(state: ApplicationStatusOverview) -> PromptrayError | None:
    """Return the error of a replica that did not start, where it is one of this package."""
    for deployment in state.deployments.values():
        if found := _OUR_ERROR.findall(deployment.message):
            name, reason = found[-1]
            return _ERROR_BY_NAME[name](reason)
    return None


def undeploy(deployment: str) -> None:
    """Remove a model that `host` put on this cluster, without waiting until it is gone.

    A model in an application with others stays.
    """
    if find(deployment) == deployment:
        serve.delete(deployment, _blocking=False)
