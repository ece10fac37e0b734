"""A model that is a function has the revision of its code in its identity."""

from pathlib import Path

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from optimizer.errors import SettingsError

AGENT = """
def answer(messages, example):
    return "unknown"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "my_agent.py").write_text(AGENT)
    given = {
        "code": ["my_agent.py"],
        "tasks": ["navigate"],
        "target": "python:my_agent:answer",
        "strategies": ["apo"],
    }
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(given))
    return file


def test_a_changed_function_is_another_model(settings: Path) -> None:
    first = ExperimentSettings.read(settings).target_model.identity
    assert first.startswith("python:my_agent:answer;code=sha256:")
    assert ExperimentSettings.read(settings).target_model.identity == first
    code = settings.parent / "my_agent.py"
    code.write_text(code.read_text().replace("unknown", "not known"))
    assert ExperimentSettings.read(settings).target_model.identity != first


def test_settings_that_are_only_looked_at_import_nothing(settings: Path) -> None:
    (settings.parent / "my_agent.py").write_text("raise SystemExit(9)")
    assert ExperimentSettings.view(settings).target_model.label == "python:my_agent:answer"
    with pytest.raises(SettingsError, match=r"importing my_agent fails \(SystemExit: 9\)"):
        ExperimentSettings.read(settings)
