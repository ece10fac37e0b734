"""`promptray up`: settings from a file and from options, and mistakes in one sentence before
anything is started.
"""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cluster.cli import app
from cluster.cli.service import _settings
from optimizer.errors import PromptrayError

SETTINGS = {
    "models": ["builtin:target", "builtin:optimizer"],
    "door": {"port": 8123},
    "running": 2,
    "quota": {"jobs_at_once": 3},
}


def test_options_stand_above_the_file_and_the_storage_has_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    monkeypatch.chdir(tmp_path)
    given = _settings(file, {"storage": "state", "running": None}, {"host": None, "port": 8124})
    assert (given.running, given.gateway.port, given.gateway.host, given.quota.jobs_at_once) == (
        2,
        8124,
        "127.0.0.1",
        3,
    )
    assert given.storage == str(tmp_path / "state")
    assert (
        _settings(None, {"storage": None, "running": 9}, {"host": None, "port": None}).running == 9
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runing: 3", "did you mean 'running'"),
        ("models: [builtin:nobody]", "builtin:nobody|nobody"),
        ("gateway: 8000", "must be a mapping"),
        ("storage: s3://id:secret@bucket/x", "holds a key"),
    ],
)
def test_a_mistake_in_the_file_is_told_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(text)
    ended = CliRunner().invoke(app, ["up", str(file)])
    assert isinstance(ended.exception, PromptrayError)
    assert "\n" not in str(ended.exception)
    assert any(part in str(ended.exception) for part in said.split("|"))
