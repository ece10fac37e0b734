"""What a submitted experiment takes along, and what it leaves at home."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import check
from cluster.submission.packaging import Shipment, keys_on_cluster, pack, place_on_cluster
from cluster.submission.runtime_env import read_runtime_env, with_variables
from optimizer.errors import DataError, SettingsError
from tests.contracts.everyday_tasks import tickets, write

MODEL = "openai:m@http://127.0.0.1:9/v1"


def settings(**changes: Any) -> ExperimentSettings:
    given = {
        "name": "mine",
        "tasks": ["navigate"],
        "strategies": ["apo"],
        "sizes": {"train": 3, "dev": 3, "test": 4},
    } | changes
    return ExperimentSettings.model_validate(given)


def packed(folder: Path, **changes: Any) -> Shipment:
    folder.mkdir()
    return pack(settings(**changes), folder)


def data_file(folder: Path) -> Path:
    folder.mkdir()
    file = folder / "task.jsonl"
    file.write_text("".join(f'{{"input": "{n} + 1?", "target": "{n + 1}"}}\n' for n in range(12)))
    return file


@pytest.mark.process
def test_the_code_runs_from_there_and_knows_its_version(tmp_path: Path) -> None:
    shipment = packed(tmp_path / "job")
    asks = (
        "import cluster.cli, serving, optimizer; from importlib.metadata import distribution as d; "
        "print(cluster.__file__, serving.__file__, optimizer.__file__, "
        "d('promptray').locate_file(''), d('promptray').version)"
    )
    said = subprocess.run(
        [sys.executable, "-c", asks],
        cwd=tmp_path / "job",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    *places, version = said.split()
    assert all((tmp_path / "job" / place).is_relative_to(tmp_path / "job") for place in places)
    assert version == shipment.metadata["promptray"]


def test_neither_tests_nor_leftovers_travel(tmp_path: Path) -> None:
    packed(tmp_path / "job")
    names = {path.name for path in (tmp_path / "job").iterdir()}
    assert {"optimizer", "serving", "cluster", "settings.yaml"} < names
    assert "tests" not in names
    assert not list((tmp_path / "job").rglob("__pycache__"))


def test_data_files_travel_and_give_the_same_task_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [str(data_file(tmp_path / "a")), str(data_file(tmp_path / "b"))]
    shipment = packed(tmp_path / "job", tasks=[*sources, "navigate"], target=MODEL, optimizer=MODEL)
    monkeypatch.chdir(tmp_path / "job")
    arrived = ExperimentSettings.read("settings.yaml")
    assert arrived == shipment.settings
    assert [task.source for task in arrived.tasks] == [
        "data/0/a/task.jsonl",
        "data/1/b/task.jsonl",
        "navigate",
    ]
    models = {"target": MODEL, "optimizer": MODEL}
    _, here, _ = check(settings(tasks=[*sources, "navigate"], **models))
    _, there, _ = check(arrived)
    assert there == here


def test_what_could_not_run_anywhere_is_refused_at_home(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl"):
        packed(tmp_path / "job", tasks=[str(tmp_path / "none.jsonl")])


@pytest.mark.parametrize(
    ("out", "place"),
    [
        ("", "~/results/mine"),
        ("elsewhere", "~/elsewhere"),
        ("/shared/x", "/shared/x"),
        ("~/x", "~/x"),
        ("s3://bucket/x", "s3://bucket/x"),
    ],
)
def test_results_have_a_place_that_outlives_the_job(out: str, place: str) -> None:
    assert place_on_cluster(settings(out=out)) == place


def test_the_record_of_the_job_names_what_it_is(tmp_path: Path) -> None:
    metadata = packed(tmp_path / "job", tasks=["navigate", "coin_flip"]).metadata
    assert (metadata["name"], metadata["tasks"], metadata["trials"]) == (
        "mine",
        "navigate, coin_flip",
        "2",
    )
    assert all(isinstance(value, str) for value in metadata.values())


def test_keys_are_named_and_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-hunter2")
    model = {
        "kind": "openai",
        "model": "m",
        "base_url": "https://models.invalid/v1",
        "api_key_env": "MY_KEY",
    }
    shipment = packed(tmp_path / "job", target=model)
    assert keys_on_cluster(shipment.settings) == ("MY_KEY",)
    text = (tmp_path / "job" / "settings.yaml").read_text()
    assert "MY_KEY" in text
    assert "hunter2" not in text + str(shipment.metadata)


def test_a_runtime_environment_holds_no_keys_and_no_code(tmp_path: Path) -> None:
    file = tmp_path / "env.yaml"
    file.write_text("pip: [tokenizers]\nenv_vars: {TOKENIZERS_PARALLELISM: 'false'}\n")
    given = read_runtime_env(file)
    assert with_variables(given, {"A": "1"}) == {
        "pip": ["tokenizers"],
        "env_vars": {"A": "1", "TOKENIZERS_PARALLELISM": "false"},
    }
    file.write_text("env_vars: {OPENAI_API_KEY: sk-hunter2}\n")
    with pytest.raises(
        SettingsError, match="OPENAI_API_KEY, which every user of the cluster could read"
    ) as told:
        read_runtime_env(file)
    assert "hunter2" not in str(told.value)
    file.write_text("working_dir: .\n")
    with pytest.raises(SettingsError, match="sets working_dir"):
        read_runtime_env(file)


def test_the_files_of_all_splits_travel(tmp_path: Path) -> None:
    rows = tickets(90)
    for at, name in enumerate(("train", "dev", "test")):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "data.csv", rows[at * 30 : at * 30 + 30])
    source = {name: str(tmp_path / name / "data.csv") for name in ("train", "dev", "test")}
    task = {"source": source, "columns": {"input": "text", "target": "label"}}
    given = {"tasks": [task], "sizes": "auto", "target": MODEL, "optimizer": MODEL}
    shipment = packed(tmp_path / "job", **given)
    [shipped] = shipment.settings.tasks
    copies = [tmp_path / "job" / path for path in shipped.files.values()]
    assert [path.read_bytes() for path in copies] == [
        Path(path).read_bytes() for path in source.values()
    ]
    assert not any(Path(path).is_absolute() for path in shipped.files.values())
    there = ExperimentSettings.model_validate(
        yaml.safe_load((tmp_path / "job/settings.yaml").read_text())
    )
    moved = [
        one.with_files({k: str(tmp_path / "job" / v) for k, v in one.files.items()})
        for one in there.tasks
    ]
    _, tasks, recorded = check(there.model_copy(update={"tasks": tuple(moved)}))
    assert [len(one.test) for one in tasks.values()] == [30]
    assert shipment.settings.recorded is not None
    assert recorded.data == shipment.settings.recorded.data
