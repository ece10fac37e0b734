"""Hosts models on Ray Serve: one deployment a model, one deployment class for all engines.

Knows no engine by name: whoever hosts a model hands the function over that loads its engine in a
replica (`models.load_engine`).

A deployment's name says which model it is, so a model is found by it in whatever application it
runs: in one of its own, where `host` put it there for an experiment, or beside others and a gateway
(application.py). Models are called by handle, without HTTP.
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
"""From the moment that a replica's engine is found dead: long enough to tell its callers, who ask
elsewhere.
"""
STARTS_WITHIN_S = 1800.0
"""From the wish to host a model to its first replica: a large one has to be fetched and loaded, and
a machine for it may have to be started first [ours].
"""
STOP_S = 120.0
"""What a replica that is told to stop gives to the chunks that it works on: they would have to be
paid for again.
"""
START_ATTEMPTS = 3
"""For a replica that does not start, unless it says that the user must mend something: that is told
at once.
"""
LOOK_EVERY_S = 0.1
"""At a start.

Serve's own wait looks once a second, for the deployment and again for its replicas.
"""
QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
"""Serve logs to its files only what is wrong."""
_GONE = (ApplicationStatus.NOT_STARTED, ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.DELETING)
_ERROR_BY_NAME = {
    error.__name__: error for error in (SettingsError, AccessError, StorageError, EndpointError)
}
_OUR_ERROR = re.compile(
    rf"{re.escape(PromptrayError.__module__)}\.({'|'.join(_ERROR_BY_NAME)}): (.+)"
)
"""As the last line of a traceback has it, which is all that Serve tells of a replica that did not
start.
"""
T = TypeVar("T")
Model = TypeVar("Model", bound=Hostable)


class ModelReplica:
    """One engine in one replica, loaded there from its settings: they and a function's name are all
    that travels.

    When the engine dies, the replica tells its callers EngineDied and ends its process: Serve
    starts another in its place.
    """

    def __init__(self, model: Model, load: Callable[[Model], Engine]) -> None:
        self._engine = load(model)

    async def complete(self, requests: list[Request]) -> list[Outcome]:
        """One outcome a request, in order."""
        return await self._or_leave(self._engine.complete(requests))

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """The pieces of one answer, and its outcome."""
        try:
            async for piece in self._engine.stream(request):
                yield piece
        except EngineDied:
            self._leave()
            raise

    async def check_health(self) -> None:
        """Called by Serve, every HEALTH_CHECK_EVERY_S."""
        await self._or_leave(self._engine.check_health())

    def __del__(self) -> None:
        """Called by Serve when the replica is to stop and its calls are done."""
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
    """The same for the same model, different for different ones; it begins with the label, for
    people and for metrics.
    """
    slug = re.sub(r"[^a-z0-9.]+", "-", model.label.lower()).strip("-")[:48]
    return f"{slug}-{hashlib.sha256(model.identity.encode()).hexdigest()[:8]}"


def bind(model: Model, load: Callable[[Model], Engine]) -> serve.Application:
    """Return the model as an application of one deployment, which may become a part of a larger
    one. `load` is called once in each
    replica, where its module must be found.
    """
    deployment = serve.deployment(
        name=deployment_name(model),
        ray_actor_options=model.actor_options,
        max_ongoing_requests=model.scaling.most_ongoing_chunks,
        graceful_shutdown_timeout_s=STOP_S,
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
    """The application on this cluster that has the deployment, or is about to; None where there is
    none, or no Serve.
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
    """Hosts each model that is not on this cluster yet, in whatever application, and waits until
    those replicas run. Returns the deployments' names, in order. `load` is called once in each
    replica, where its module must be found.

    Serve, where it does not run yet, starts without an HTTP proxy. Needs a running Ray
    (`ray.init`). Raises as `start`.
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
    """Deploys applications, side by side, and returns when their first replicas run.

    Raises EndpointError where a replica does not start in START_ATTEMPTS, or none runs after
    `within_s` seconds; where it says why in an error of ours, that error. If it is one that the
    user must mend, there is only one attempt.
    """
    if not targets:
        return
    serve.run_many(
        targets, wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
    )
    wait_for([target.name for target in targets], within_s)


def wait_for(apps: Sequence[str], within_s: float = STARTS_WITHIN_S) -> None:
    """Returns when the first replicas of some applications run. Raises as `start`."""
    ends_at = time.monotonic() + within_s
    while not _all_run(apps):
        if time.monotonic() >= ends_at:
            raise EndpointError(f"{_late(apps)} within {within_s:g} s.")
        time.sleep(LOOK_EVERY_S)


def _late(apps: Sequence[str]) -> str:
    """Which models do not run, and what Serve says of them."""
    state_by_app = serve.status().applications
    late = [
        app
        for app in apps
        if app not in state_by_app or state_by_app[app].status != ApplicationStatus.RUNNING
    ]
    said = next(
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
        f"hosted{f' ({shortened(said, 300).rstrip(chr(46))})' if said else ''}"
    )


def _all_run(apps: Sequence[str]) -> bool:
    """Raises what a replica of theirs has said, if it is final; its application is then taken
    away.
    """
    state_by_app = serve.status().applications
    for app in apps:
        state = state_by_app.get(app)
        if state is None:
            raise EndpointError(
                f"{app} was taken off this cluster while it was to be hosted; start the same "
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
    """Why a replica did not start, where it said so in an error of ours."""
    for deployment in state.deployments.values():
        if said := _OUR_ERROR.findall(deployment.message):
            name, reason = said[-1]
            return _ERROR_BY_NAME[name](reason)
    return None


def take_off(deployment: str) -> None:
    """Takes a model off this cluster that `host` has put there, and does not wait until it is gone;
    one in an application with
    others stays.
    """
    if find(deployment) == deployment:
        serve.delete(deployment, _blocking=False)
