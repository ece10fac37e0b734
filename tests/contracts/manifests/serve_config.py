"""A configuration of Ray Serve, as `serve deploy` and RayService read it, and what Serve drops
without a word. Starts no Ray.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from optimizer.errors import SettingsError
from serving.application import ServingSettings
from tests.contracts.manifests.lost_keys import lost

OURS = "serving.application:build"
STOCK = "ray.serve.llm:build_openai_app"
"""Its module cannot be imported without vLLM: tests/integration/vllm checks its arguments."""


def faults(config: dict[str, Any]) -> Iterator[str]:
    """What is wrong with it, a line each."""
    try:
        kept = ServeDeploySchema.model_validate(config)
    except ValidationError as problem:
        yield from (
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in problem.errors()
        )
        return
    yield from lost(config, kept.model_dump(mode="json", exclude_unset=True))
    for application in config["applications"]:
        yield from _application_faults(application)


def _application_faults(application: dict[str, Any]) -> Iterator[str]:
    path = application["import_path"]
    if path not in BUILDERS:
        yield f"the tests know no builder {path}"
        return
    yield from BUILDERS[path](application.get("args", {}))


def _ours(args: dict[str, Any]) -> Iterator[str]:
    module, _, name = OURS.partition(":")
    if not callable(getattr(import_module(module), name, None)):
        yield f"{OURS} is nothing that can be called"
    yield from settings_faults(args)


def settings_faults(settings: dict[str, Any]) -> Iterator[str]:
    """What `promptray serve` would say to these settings."""
    try:
        ServingSettings.model_validate(settings)
    except (ValidationError, SettingsError) as problem:
        yield str(problem)


def _stock(args: dict[str, Any]) -> Iterator[str]:
    """Only whether it is there: the module is found without being imported."""
    if find_spec(STOCK.partition(":")[0]) is None:
        yield f"{STOCK} is not in this Ray"


BUILDERS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {OURS: _ours, STOCK: _stock}
"""Import path -> what checks its arguments."""
