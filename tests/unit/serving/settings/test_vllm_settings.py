"""What the settings of a vLLM model accept, what they tell Ray and vLLM, and what makes two models
different. Needs no vLLM.
"""

import pickle
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import SettingsError, StorageError
from serving.builtin import TARGET_FOLDER
from serving.settings import parse_model
from serving.settings.vllm import VLLMSettings


def model(**settings: Any) -> VLLMSettings:
    parsed = parse_model({"kind": "vllm", "model": "org/name", **settings})
    assert isinstance(parsed, VLLMSettings)
    return parsed


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "small-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_line_names_a_model() -> None:
    assert parse_model("vllm:org/name") == model()
    assert model().label == "vllm:org/name"
    assert model().identity == "vllm:org/name@main(dtype=auto)"


def test_settings_travel() -> None:
    settings = model(engine_args={"quantization": "fp8"}, replicas={"min": 0, "max": 4})
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("settings", "key", "words"),
    [
        ({"gpus": 1.5}, "gpus", "whole number"),
        ({"gpus": -1}, "gpus", ""),
        ({"gpus": 0.5}, "gpu_memory_utilization", "at most 0.5"),
        ({"gpus": 2, "tensor_parallel_size": 4}, "tensor_parallel_size", "4 GPUs"),
        ({"model": "builtin:optimizer"}, "model", "builtin:target"),
        ({"model": ""}, "model", ""),
        ({"dtype": "float8"}, "dtype", ""),
        ({"chat_template": "/no/such/file"}, "chat_template", "no file"),
        ({"engine_args": {"dtype": "float16"}}, "engine_args", "dtype"),
        ({"engine_args": {"enable_prefix_caching": False}}, "engine_args", "prefix_caching"),
        ({"engine_args": {"hf_token": "a-secret"}}, "engine_args", "HF_TOKEN"),
        ({"max_tokens": 5}, "max_tokens", "no setting"),
    ],
)
def test_a_mistake_is_one_sentence(settings: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        model(**settings)
    said = str(caught.value)
    assert f"'{key}'" in said
    assert words in said
    assert "\n" not in said
    assert "a-secret" not in said


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, {"num_cpus": 1.0, "num_gpus": 1.0}),
        ({"gpus": 0, "cpus": 4}, {"num_cpus": 4.0, "num_gpus": 0.0}),
        ({"gpus": 0.5, "gpu_memory_utilization": 0.45}, {"num_cpus": 1.0, "num_gpus": 0.5}),
        (
            {"gpus": 4, "accelerator_type": "H100"},
            {"num_cpus": 1.0, "num_gpus": 4.0, "accelerator_type": "H100"},
        ),
        (
            {"node_resources": {"fast_disk": 1}},
            {"num_cpus": 1.0, "num_gpus": 1.0, "resources": {"fast_disk": 1.0}},
        ),
    ],
)
def test_a_replica_asks_ray_for_what_it_needs(
    settings: dict[str, Any], asked: dict[str, Any]
) -> None:
    assert model(**settings).actor_options == asked


def test_on_gpus_and_cpus_vllm_is_told_the_same_but_for_its_cache() -> None:
    on_gpu, on_cpu = model().arguments, model(gpus=0).arguments
    assert {key for key in on_gpu.keys() | on_cpu.keys() if on_gpu.get(key) != on_cpu.get(key)} == {
        "block_size",
        "kv_cache_memory_bytes",
    }
    assert on_cpu["block_size"] == 32
    assert on_cpu["kv_cache_memory_bytes"] == 2 * 2**30


def test_weights_are_cut_over_all_gpus_of_a_replica() -> None:
    assert model(gpus=4).arguments["tensor_parallel_size"] == 4
    assert model(gpus=4).arguments["distributed_executor_backend"] == "mp"
    assert model(gpus=4, tensor_parallel_size=2).arguments["tensor_parallel_size"] == 2
    assert model(gpus=0.5, gpu_memory_utilization=0.5).arguments["tensor_parallel_size"] == 1


def test_other_arguments_go_to_vllm_as_they_are() -> None:
    assert model(engine_args={"quantization": "fp8"}).arguments["quantization"] == "fp8"
    assert "revision" not in model().arguments
    assert model(revision="v2").arguments["revision"] == "v2"


def test_the_builtin_target_is_found_where_the_package_is() -> None:
    settings = model(model="builtin:target", gpus=0)
    assert settings.arguments["model"] == str(TARGET_FOLDER)
    assert settings.label == "vllm:builtin:target"
    assert settings.identity != model(model="builtin:target", gpus=0, dtype="float32").identity


def test_where_a_model_runs_is_no_part_of_its_identity() -> None:
    moved = model(
        gpus=4,
        cpus=8,
        replicas=3,
        routing="affine",
        enforce_eager=True,
        gpu_memory_utilization=0.5,
        prefix_caching=False,
        max_num_seqs=8,
        block_size=64,
        accelerator_type="H100",
    )
    assert moved.identity == model().identity


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "bfloat16"},
        {"revision": "v2"},
        {"max_model_len": 4096},
        {"seed": 1},
        {"engine_args": {"quantization": "fp8"}},
    ],
)
def test_what_decides_answers_is_part_of_the_identity(change: dict[str, Any]) -> None:
    assert model(**change).identity != model().identity


def test_a_template_counts_by_what_is_in_it(tmp_path: Path) -> None:
    first, again, other = tmp_path / "a.jinja", tmp_path / "b.jinja", tmp_path / "c.jinja"
    first.write_text("{{ messages }}")
    again.write_text("{{ messages }}")
    other.write_text("{{ messages[0] }}")
    told = [model(chat_template=str(file)).identity for file in (first, again, other)]
    assert told[0] == told[1] != told[2]
    assert told[0] != model().identity


def test_a_folder_is_known_by_what_is_in_it(checkpoint: Path, tmp_path: Path) -> None:
    copied = tmp_path / "elsewhere" / "small-model"
    copied.mkdir(parents=True)
    for file in checkpoint.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    (copied / "README.md").write_text("What is written about a model does not change it.")
    settings = model(model=str(checkpoint))
    assert settings.label == "vllm:small-model"
    assert settings.identity == model(model=str(copied)).identity
    assert settings.arguments["model"] == str(checkpoint)

    other = tmp_path / "other" / "small-model"
    other.mkdir(parents=True)
    (other / "config.json").write_text("{}")
    (other / "model.safetensors").write_bytes(b"WEIGHTS")
    assert model(model=str(other)).identity != settings.identity


def test_large_weights_are_known_by_both_ends(tmp_path: Path) -> None:
    told = set()
    for name, ends in (("a", b"12"), ("b", b"12"), ("c", b"13"), ("d", b"22")):
        folder = tmp_path / name / "large"
        folder.mkdir(parents=True)
        with (folder / "model.safetensors").open("wb") as file:
            file.write(ends[:1])
            file.seek(17 * 2**20)
            file.write(ends[1:])
        told.add(model(model=str(folder)).identity)
    assert len(told) == 3


def test_a_folder_that_is_not_here_wants_a_revision() -> None:
    with pytest.raises(StorageError, match="revision"):
        _ = model(model="/no/such/folder").identity
    told = model(model="/no/such/folder", revision="of-monday")
    assert told.identity == "vllm:folder@of-monday(dtype=auto)"
    assert "revision" not in told.arguments


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="empty"):
        _ = model(model=str(tmp_path)).identity
