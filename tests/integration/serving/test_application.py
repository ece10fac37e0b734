"""Several models in one Serve application: from one dictionary of settings, as a deployment file
has it.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray import serve

from optimizer.errors import SettingsError
from optimizer.types import Completion
from serving.application import build, read
from serving.hosting.deployment import QUIET, deployment_name, find, host
from serving.models import connect, load_engine
from serving.settings import OpenAISettings, OptimizerSettings, Scaling, TargetSettings
from tests.contracts.client_contract import ask

TWO = {
    "models": [
        "builtin:target",
        {
            "kind": "builtin",
            "name": "optimizer",
            "prior_bias": 0.5,
            "replicas": {"min": 0, "max": 2},
        },
        {"kind": "openai", "model": "elsewhere", "base_url": "http://127.0.0.1:9/v1"},
    ],
    "gateway": {"port": 8123, "api_key_env": "KEY_OF_THIS_TEST"},
}


def test_a_file_is_read_and_options_stand_above_it(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(yaml.safe_dump(TWO))
    settings = read(file)
    scaled = OptimizerSettings(prior_bias=0.5, replicas=Scaling(min=0, max=2))
    assert settings.parsed == (
        TargetSettings(),
        scaled,
        OpenAISettings(model="elsewhere", base_url="http://127.0.0.1:9/v1"),
    )
    assert settings.served == settings.parsed[:2]
    assert settings.gateway is not None
    assert (settings.gateway.port, settings.gateway.api_key_env) == (8123, "KEY_OF_THIS_TEST")
    changed = read(file, ["builtin:target"], {"port": 9000})
    assert changed.gateway is not None
    assert (changed.models, changed.gateway.port, changed.gateway.api_key_env) == (
        ["builtin:target"],
        9000,
        "KEY_OF_THIS_TEST",
    )


def test_without_a_file_both_built_in_models_are_offered() -> None:
    settings = read(None)
    assert [model.label for model in settings.parsed] == ["builtin:target", "builtin:optimizer"]
    assert settings.gateway is not None
    assert settings.gateway.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "The setting models is missing"),
        ({"models": []}, "at least 1"),
        ({"modles": []}, "did you mean 'models'?"),
        ({"models": ["gguf:x"]}, "names no model"),
        ({"models": [{"kind": "builtin", "name": "target", "replicas": 0}]}, "'replicas'"),
        (
            {"models": [{"kind": "builtin", "name": "target", "replicas": {"min": 3, "max": 1}}]},
            "min (3) is above max (1).",
        ),
        (
            {"models": [{"kind": "builtin", "name": "target", "replicas": {"mix": 1}}]},
            "did you mean 'min'?",
        ),
        (
            {"models": ["builtin:target", {"kind": "builtin", "name": "target", "threads": 1}]},
            "Two models are called builtin:target",
        ),
        ({"models": ["openai:x"]}, "nothing to host"),
        ({"models": ["builtin:target"], "gateway": {"port": 0}}, "gateway.port"),
        (
            {"models": ["builtin:target"], "gateway": {}, "door": {}},
            "door is the older name of gateway: give one of them.",
        ),
        ({"models": ["builtin:target"], "door": {"port": 0}}, "door.port"),
        (
            {"models": ["builtin:target"], "door": {"api_key": "sk-secret"}},
            "no setting called 'door.api_key'",
        ),
    ],
)
def test_a_mistake_in_a_deployment_file_is_one_sentence(args: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(args)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
async def test_models_of_one_application_are_found_by_experiments_and_not_hosted_twice() -> None:
    models = [TargetSettings(), OptimizerSettings(prior_bias=0.25)]
    args = {
        "models": ["builtin:target", {"kind": "builtin", "name": "optimizer", "prior_bias": 0.25}]
    }
    await asyncio.to_thread(serve.start, proxy_location="Disabled", logging_config=QUIET)
    before = set(serve.status().applications)
    if find(deployment_name(models[0])) is not None:  # another test's
        await asyncio.to_thread(serve.delete, deployment_name(models[0]))
    await asyncio.to_thread(
        serve.run, build(args), name="several", route_prefix=None, logging_config=QUIET
    )
    assert [find(deployment_name(model)) for model in models] == ["several", "several"]
    await asyncio.to_thread(host, models, load_engine)
    assert set(serve.status().applications) - before == {"several"}
    for model in models:
        (outcome,) = await connect(model).complete([ask("Operator: vary\nSay something.")])
        assert isinstance(outcome, Completion)
    await asyncio.to_thread(serve.delete, "several")
    assert find(deployment_name(models[1])) is None
