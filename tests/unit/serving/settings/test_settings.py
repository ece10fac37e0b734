"""Settings are strict at the edge, survive the way to a worker, and never carry a key."""

import pickle
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import AccessError, SettingsError
from serving.models import connect
from serving.settings import (
    BUILTIN_MODELS,
    ModelSettings,
    OpenAISettings,
    OptimizerSettings,
    Scaling,
    TargetSettings,
    VLLMSettings,
    parse_model,
)

LINES = {
    "builtin:target": TargetSettings(),
    "builtin:optimizer": OptimizerSettings(),
    "vllm:org/model": VLLMSettings(model="org/model"),
    "openai:gpt-x": OpenAISettings(model="gpt-x"),
    "openai:org/model@v2@http://127.0.0.1:8000/v1/": OpenAISettings(
        model="org/model@v2", base_url="http://127.0.0.1:8000/v1"
    ),
}


@pytest.mark.parametrize(("line", "settings"), LINES.items())
def test_a_line_names_a_model(line: str, settings: ModelSettings) -> None:
    assert parse_model(line) == settings


@pytest.mark.parametrize("settings", LINES.values())
def test_settings_survive_pickling_and_json(settings: ModelSettings) -> None:
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert parse_model(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"kind": "openai", "model": "m", "max_inflight": 3}, "max_in_flight"),
        ({"kind": "builtin", "name": "optimizer", "bias": 1}, "prior_bias"),
        ({"kind": "builtin", "name": "optimizer", "prior_bias": 7}, "prior_bias"),
        ({"kind": "builtin", "name": "goal"}, "optimizer, target"),
        ({"kind": "gguf"}, "builtin, litellm, openai, python, scripted, vllm"),
        ({"kind": "builtin", "name": ["target"]}, "optimizer, target"),
        ({"kind": "builtin", "name": "target", "replicas": 0}, "'replicas'"),
        (
            {"kind": "builtin", "name": "target", "replicas": {"min": 1}},
            "'replicas' is wrong: The setting max is missing",
        ),
        (
            {"kind": "builtin", "name": "target", "replicas": {"max": 2, "most": 3}},
            "no setting called 'most'",
        ),
        ({"kind": "builtin", "name": "target", "routing": "sticky"}, "'routing'"),
        ({"kind": "builtin", "name": "target", "chunk": 64}, "'chunk'"),
        ("vllm:", "vllm:MODEL"),
        ({"kind": "openai"}, "model"),
        ({"kind": "openai", "model": "m", "base_url": "ftp://x"}, "http://"),
        ({"kind": "openai", "model": "m", "base_url": "https://me:secret@x.org/v1"}, "api_key_env"),
        ("builtin:", "optimizer, target"),
        ("gpt-4o", "openai:MODEL@BASE_URL"),
        ("", "openai:MODEL@BASE_URL"),
    ],
)
def test_a_mistake_is_one_sentence_that_says_how_to_mend_it(
    source: str | dict[str, object], says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_model(source)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_line_is_settings_or_a_settings_error(line: str) -> None:
    with suppress(SettingsError):
        assert parse_model(line).label


def test_the_key_comes_from_the_environment_and_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = OpenAISettings(model="m", api_key_env="KEY_OF_THIS_TEST")
    monkeypatch.setenv("KEY_OF_THIS_TEST", "sk-hidden")
    assert settings.api_key() == "sk-hidden"
    assert "sk-hidden" not in f"{settings!r} {settings.model_dump_json()} {settings.identity}"


def test_a_missing_key_is_allowed_on_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY_OF_THIS_TEST", raising=False)
    for url in ("http://localhost:1/v1", "http://127.0.0.1/v1", "http://[::1]:8000/v1"):
        assert OpenAISettings(model="m", base_url=url, api_key_env="KEY_OF_THIS_TEST").api_key()
    with pytest.raises(AccessError, match="KEY_OF_THIS_TEST"):
        connect(
            OpenAISettings(
                model="m", base_url="https://localhost.evil.org/v1", api_key_env="KEY_OF_THIS_TEST"
            )
        )


def test_a_key_file_is_read_instead_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    file = tmp_path / "key"
    settings = OpenAISettings(model="m", base_url="http://localhost/v1", api_key_file=file)
    for content in (None, b"", b"\nsk-in-line-two\n", b"\xff\xfe"):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(AccessError, match=r"The key file .*key ") as caught:
            connect(settings)
        assert "sk-" not in str(caught.value)
    file.write_text("sk-hidden \nand a note\n")
    assert settings.api_key() == "sk-hidden"
    assert settings.key_place == str(file)
    assert "sk-hidden" not in f"{settings!r} {settings.model_dump_json()} {settings.identity}"


def test_a_bare_number_of_replicas_is_fixed() -> None:
    assert TargetSettings(replicas=3).scaling == Scaling(min=3, max=3)
    elastic = parse_model({"kind": "builtin", "name": "target", "replicas": {"min": 0, "max": 4}})
    assert isinstance(elastic, TargetSettings)
    assert elastic.scaling == Scaling(min=0, max=4)
    assert not elastic.scaling.is_fixed


def test_a_replica_takes_half_more_than_its_target() -> None:
    assert Scaling(max=2).most_ongoing_chunks == 15
    assert Scaling(max=2, target_ongoing_chunks=0.5).most_ongoing_chunks == 1


def test_resources_reach_ray_in_its_own_words() -> None:
    assert TargetSettings().actor_options == {"num_cpus": 0, "num_gpus": 0}
    placed = TargetSettings(cpus=2, gpus=0.5, node_resources={"fast_disk": 1})
    assert placed.actor_options == {"num_cpus": 2, "num_gpus": 0.5, "resources": {"fast_disk": 1}}


def test_how_a_model_is_run_is_no_part_of_its_identity() -> None:
    elsewhere = TargetSettings(
        replicas=3,
        routing="affine",
        cpus=2,
        gpus=1,
        node_resources={"x": 1},
        chunk=32,
        chunks_in_flight=2,
    )
    assert elsewhere.identity == TargetSettings().identity
    assert (
        OpenAISettings(model="m", api_key_file=Path("k")).identity
        == OpenAISettings(model="m").identity
    )


def test_what_changes_answers_changes_the_identity() -> None:
    models = [
        OptimizerSettings(),
        OptimizerSettings(seed=1),
        OptimizerSettings(prior_bias=0.5),
        TargetSettings(),
        OpenAISettings(model="m"),
        OpenAISettings(model="m", max_tokens=9),
        OpenAISettings(model="m", base_url="http://localhost"),
    ]
    assert len({model.identity for model in models}) == len(models)
    assert OpenAISettings(model="m", timeout_s=1).identity == OpenAISettings(model="m").identity
    assert TargetSettings(threads=1).identity == TargetSettings().identity


def test_the_table_names_every_builtin_model() -> None:
    assert {name: settings().label for name, settings in BUILTIN_MODELS.items()} == {
        "target": "builtin:target",
        "optimizer": "builtin:optimizer",
    }
