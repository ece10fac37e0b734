"""What people write into settings: paths with a ~, and keys that stand twice."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cluster.cli import app
from cluster.config.experiment import ExperimentSettings
from cluster.diagnosis.settings import DiagnosisSettings
from cluster.experiment.prepare import prepare
from cluster.submission.runtime_env import read_runtime_env
from optimizer.errors import PromptrayError, SettingsError, StorageError
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from serving.application import read
from serving.gateway.settings import GatewaySettings
from serving.settings import OpenAISettings, ScriptedSettings, VLLMSettings
from serving.settings.script import Script
from serving.settings.validation import read_mapping
from serving.storage import open_folder

ROWS = "".join(
    f'{{"input": "What is {number} plus 1?", "target": "{number + 1}"}}\n' for number in range(20)
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home folder, which is not the working folder."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def test_a_tilde_means_the_home_folder_in_every_path(home: Path) -> None:
    (home / "add.jsonl").write_text(ROWS)
    (home / "key").write_text("sk-abc")
    (home / "script.yaml").write_text("rules: [{replies: [ok]}]")
    (home / "template").write_text("x")
    (home / "models.yaml").write_text("models: [builtin:target]")
    assert len(load_task("~/add.jsonl", sizes=Sizes(5, 5, 5), seed=0).train) == 5
    assert OpenAISettings(model="m", api_key_file=Path("~/key")).api_key() == "sk-abc"
    assert ScriptedSettings(script=Path("~/script.yaml"), log=Path("~/log")).log == home / "log"
    assert Script.read(Path("~/script.yaml")).rules
    assert GatewaySettings(api_keys_file=Path("~/key")).api_keys_file == home / "key"
    assert VLLMSettings(model="~/m", chat_template=Path("~/template")).model == str(home / "m")
    assert (
        read_mapping("~/models.yaml")
        == read_mapping(home / "models.yaml")
        == {"models": ["builtin:target"]}
    )
    assert read(Path("~/models.yaml")).models == ["builtin:target"]
    assert open_folder("~/out").absolute().place == str(home / "out")


def test_a_run_writes_whole_paths_into_its_settings(home: Path) -> None:
    """For `resume`, which may be started anywhere."""
    (home / "add.jsonl").write_text(ROWS)
    given = {
        "tasks": ["~/add.jsonl"],
        "target": {"kind": "builtin", "name": "target", "any_data": True},
        "optimizer": {"kind": "builtin", "name": "optimizer", "any_data": True},
        "strategies": ["apo"],
        "sizes": {"train": 5, "dev": 5, "test": 5},
        "out": "~/results",
    }
    prepared = prepare(ExperimentSettings.model_validate(given))
    assert prepared.settings.tasks[0].source == str(home / "add.jsonl")
    assert prepared.out.place == str(home / "results")
    assert prepare(ExperimentSettings.read("~/results/settings.yaml")).tasks


@pytest.mark.parametrize("path", ["~nobody-of-this-name/add.jsonl", "~nobody-of-this-name/x"])
def test_a_home_that_is_not_there_is_one_sentence(path: str) -> None:
    for read_it in (
        lambda: load_task(path, sizes=Sizes(5, 5, 5), seed=0),
        lambda: open_folder(path),
        lambda: read_mapping(path),
        lambda: OpenAISettings(model="m", api_key_file=Path(path)).api_key(),
    ):
        with pytest.raises(StorageError, match="names a home folder"):
            read_it()
    for make in (
        lambda: ScriptedSettings(script=Path(path)),
        lambda: GatewaySettings(api_keys_file=Path(path)),
    ):
        with pytest.raises(ValueError, match="names a home folder"):
            make()


TWICE = (
    "tasks: [navigate]\nstrategies: [apo]\ntarget: builtin:target\noptimizer: "
    "builtin:optimizer\ntarget: openai:m@http://a.example/v1\n"
)


def test_a_key_that_stands_twice_is_refused_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(TWICE)
    with pytest.raises(SettingsError, match=r"'target' twice, in lines 3 and 5"):
        ExperimentSettings.read(file)
    with pytest.raises(SettingsError, match="twice"):
        DiagnosisSettings.read(file, {})
    for text in (
        "a: {b: 1, c: 2, b: 3}",
        "[{a: 1, 'a': 2}]",
        "x: [{a: {b: 1, b: 1}}]",
        "? [1]\n: 2\n? [1]\n: 3\n",
    ):
        file.write_text(
            text if text.startswith(("a", "x")) else f"y: {text}" if text.startswith("[") else text
        )
        with pytest.raises(SettingsError):
            read_runtime_env(file)
        with pytest.raises(SettingsError):
            read(file)
    file.write_text("rules: [{replies: [a], replies: [b]}]")
    with pytest.raises(SettingsError, match="twice, in line 1"):
        Script.read(file)


def test_merged_keys_may_be_said_again(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\nthird: {<<: [*base, {c: 1}], a: 5}\n"
    )
    assert read_mapping(file) == yaml.safe_load(file.read_text())


def test_the_commands_expand_a_tilde(home: Path) -> None:
    (home / "prompt.json").write_text("{}")
    ended = CliRunner().invoke(app, ["apply", "~/prompt.json", "--input", "x"])
    assert isinstance(ended.exception, PromptrayError)
    assert "There is no prompt file" not in str(ended.exception)
