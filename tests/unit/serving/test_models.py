"""From settings to models: each kind is built where it is asked for, and settings that nothing is
built from are refused.
"""

import pickle
from pathlib import Path

import pytest

from optimizer.errors import SettingsError
from optimizer.types import Sampling
from serving.clients.in_process import InProcessModel
from serving.clients.openai_model import OpenAIModel
from serving.clients.serve_model import ServeHandleModel
from serving.engines.ctranslate2 import CTranslate2Engine
from serving.engines.rulebook.engine import RulebookEngine
from serving.engines.scripted import ScriptedEngine
from serving.models import connect, load_engine, open_in_process
from serving.settings import (
    ModelSettings,
    OpenAISettings,
    OptimizerSettings,
    ScriptedSettings,
    Served,
    TargetSettings,
)
from tests.contracts.scripted_stream import WaitingSettings

ENDPOINT = OpenAISettings(
    model="m",
    base_url="http://127.0.0.1:9/v1",
    max_tokens=9,
    send_temperature=False,
    max_in_flight=7,
    api_key_file=Path("key"),
)


@pytest.fixture
def script(tmp_path: Path) -> ScriptedSettings:
    file = tmp_path / "script.yaml"
    file.write_text("rules:\n- replies: [Yes it is.]\n")
    return ScriptedSettings(script=file)


def test_each_hosted_kind_loads_its_engine_from_settings_that_travel(
    script: ScriptedSettings,
) -> None:
    model_by_engine: dict[type, Served] = {
        CTranslate2Engine: TargetSettings(threads=1),
        RulebookEngine: OptimizerSettings(),
        ScriptedEngine: script,
    }
    for kind, model in model_by_engine.items():
        travelled = pickle.loads(pickle.dumps(model))
        engine = load_engine(travelled)
        assert type(engine) is kind
        engine.close()


def test_a_hosted_model_is_called_by_handle_or_loaded_at_the_first_call() -> None:
    model = OptimizerSettings()
    clients = connect(model), open_in_process(model)
    assert [type(client) for client in clients] == [ServeHandleModel, InProcessModel]
    assert {client.name for client in clients} == {model.identity}


def test_an_endpoint_has_the_same_client_with_and_without_ray() -> None:
    model = OpenAISettings(model="m", base_url="http://127.0.0.1:9/v1")
    clients = connect(model), open_in_process(model)
    assert [type(client) for client in clients] == [OpenAIModel, OpenAIModel]
    assert {client.name for client in clients} == {model.identity}


def test_what_nothing_is_built_from_is_refused_in_one_sentence() -> None:
    foreign = WaitingSettings(mark=Path("mark"))
    refused = [
        lambda: load_engine(foreign),
        lambda: connect("gguf:x"),
        lambda: open_in_process("gguf:x"),
    ]  # type: ignore[arg-type]
    for build, named in zip(
        refused,
        ("no engine for WaitingSettings", "no client for str", "no client for str"),
        strict=True,
    ):
        with pytest.raises(SettingsError, match=named) as caught:
            build()
        assert (
            "name a model of the kind builtin, litellm, openai, python, scripted or vllm."
            in str(caught.value)
        )


def test_settings_say_how_their_model_is_asked() -> None:
    asked = Sampling(0.7, 100)

    def told(model: ModelSettings) -> tuple[object, ...]:
        return (
            model.served,
            model.endpoint,
            model.key_place,
            model.own_max_tokens,
            model.most_at_once(3),
            model.heard(asked),
        )

    assert told(ENDPOINT) == (False, "http://127.0.0.1:9/v1", "key", 9, 7, Sampling(0.0, 9))
    assert told(OpenAISettings(model="m")) == (
        False,
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        None,
        64,
        asked,
    )
    assert told(TargetSettings(chunk=8)) == (True, None, None, None, 24, asked)
