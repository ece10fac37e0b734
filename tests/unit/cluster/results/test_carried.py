"""What a best prompt's file carries of the settings, so that it works wherever it is moved."""

import json
from pathlib import Path

import pytest

from cluster.apply import carried_by
from cluster.config.experiment import ExperimentSettings
from cluster.results import write_results
from cluster.trial.result import TrialResult

MODEL = {
    "kind": "openai",
    "model": "m",
    "base_url": "http://127.0.0.1:1/v1",
    "api_key_env": "MY_KEY",
}


def test_best_prompts_carry_what_they_need_and_no_key(
    tmp_path: Path, results: list[TrialResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    settings = ExperimentSettings.model_validate(
        {"tasks": ["navigate"], "strategies": ["apo"], "target": MODEL}
    )
    write_results(tmp_path, results, {}, carried_by(settings))
    files = [json.loads(file.read_text()) for file in (tmp_path / "best").glob("*.json")]
    carried = [file for file in files if file["task"] == "navigate"]
    assert carried
    assert all(file["target_settings"] == MODEL for file in carried)
    assert "sk-secret" not in json.dumps(files)
