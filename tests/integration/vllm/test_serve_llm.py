"""cluster/deploy/serve-llm.yaml against Ray's own LLM application, which needs vLLM to be imported.

Starts no engine and no Ray.

Ray refuses unknown keys of its LLM settings and of the engine's, and takes any in
`deployment_config`: that part is compared with what Serve's schemas keep of it.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contracts.manifests.lost_keys import lost
from tests.contracts.manifests.planting import planted

pytest.importorskip("vllm")
pytestmark = pytest.mark.filterwarnings(
    "ignore"
)  # those of torch, vLLM and Ray at their import; nothing here warns itself
FILE = Path(__file__).parents[3] / "cluster" / "deploy" / "serve-llm.yaml"
APPLICATION = yaml.safe_load(FILE.read_text(encoding="utf-8"))["applications"][0]


@pytest.fixture(scope="module")
def llm() -> Any:
    return import_module(APPLICATION["import_path"].partition(":")[0])


def faults(llm: Any, args: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the arguments, a line each."""
    try:
        for model in llm.LLMServingArgs.model_validate(args).llm_configs:
            model.get_engine_config()
            yield from deployment_faults(model.deployment_config)
    except ValueError as problem:
        yield str(problem)


def deployment_faults(given: dict[str, Any]) -> Iterator[str]:
    from ray.serve.config import AutoscalingConfig
    from ray.serve.schema import DeploymentSchema

    yield from lost(
        given,
        DeploymentSchema.model_validate({"name": "any", **given}).model_dump(exclude_unset=True),
    )
    scaling = given["autoscaling_config"]
    yield from lost(
        scaling, AutoscalingConfig.model_validate(scaling).model_dump(exclude_unset=True)
    )


def test_the_import_path_is_that_of_ray_s_builder(llm: Any) -> None:
    assert callable(getattr(llm, APPLICATION["import_path"].partition(":")[2]))


def test_ray_takes_the_arguments(llm: Any) -> None:
    assert list(faults(llm, APPLICATION["args"])) == []


def test_a_misspelt_key_is_found_in_every_mapping(llm: Any) -> None:
    places = list(planted(APPLICATION["args"]))
    assert len(places) == 6
    assert [place for place, args in places if not list(faults(llm, args))] == []


def test_an_argument_that_the_engine_lost_is_refused(llm: Any) -> None:
    (model,) = APPLICATION["args"]["llm_configs"]
    old = {**model, "engine_kwargs": {**model["engine_kwargs"], "device": "auto"}}
    assert "device" in " ".join(faults(llm, {"llm_configs": [old]}))


def test_replicas_follow_a_load_that_can_be_reached(llm: Any) -> None:
    """Ray's default target is a thousand million requests a replica."""
    for model in llm.LLMServingArgs.model_validate(APPLICATION["args"]).llm_configs:
        target = model.deployment_config["autoscaling_config"]["target_ongoing_requests"]
        assert target < model.deployment_config["max_ongoing_requests"] <= 1000
