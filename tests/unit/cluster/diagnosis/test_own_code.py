"""Tasks and scorers of one's own in a diagnosis, from the files that its settings list."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.cli import app
from cluster.diagnosis.preparation import Prepared, prepare
from cluster.diagnosis.running import diagnose_task
from cluster.diagnosis.settings import DiagnosisSettings
from cluster.ledger_admin.accounting import _models
from cluster.own_code.code_files import CodeFiles, code_in_use, use_code
from optimizer.errors import SettingsError
from optimizer.graders.graders import GRADERS
from optimizer.scripted import ScriptedModel
from optimizer.tasks.imported import TASKS
from tests.contracts import toy

ROOT = Path(__file__).parents[4]
GIVEN: dict[str, Any] = {
    "code": ["my_scorer.py"],
    "tasks": [{"source": "navigate", "scorer": "my_scorer:loud"}, "my_scorer:short_walks"],
    "sizes": {"train": 12, "dev": 4, "held_out": 4},
    "ablations": {"seeds": 1},
    "optimizer": "builtin:optimizer",
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start as a process that has imported nothing of others, and leave it like that."""
    for registry in (GRADERS, TASKS):
        monkeypatch.setattr(registry, "_imported", {})
    yield
    use_code(CodeFiles())


def write(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "contracts" / "my_scorer.py", folder)
    file = folder / "diagnosis.yaml"
    file.write_text(yaml.safe_dump(GIVEN | {"out": str(folder / "out")} | changes))
    return file


async def test_a_task_is_graded_by_a_scorer_of_the_users(tmp_path: Path) -> None:
    prepared = await asyncio.to_thread(prepare, DiagnosisSettings.read(write(tmp_path)))
    assert [task.scorer for task in prepared.tasks.values()] == ["my_scorer:loud"] * 2
    target, author = ScriptedModel(lambda _: "Answer: no"), ScriptedModel(toy.author)
    for label in prepared.tasks:
        result = await diagnose_task(prepared, label, target, author, lambda _: None)
        assert (result.error, result.found is not None) == ("", True)


def test_the_revision_of_the_code_is_recorded_and_a_change_is_reported(tmp_path: Path) -> None:
    before = prepare(DiagnosisSettings.read(write(tmp_path)))
    recorded = before.settings.recorded
    assert recorded is not None
    digest = code_in_use().digest
    assert [recorded.versions[f"my_scorer:{name}"] for name in ("loud", "short_walks")] == [
        digest,
        digest,
    ]
    assert before.settings.code == (str(tmp_path / "my_scorer.py"),)
    again = tmp_path / "out" / "settings.yaml"
    assert prepare(DiagnosisSettings.read(again)).notes == ()
    with (tmp_path / "my_scorer.py").open("a") as file:
        file.write("# changed\n")
    notes = prepare(DiagnosisSettings.read(again)).notes
    assert any(note.startswith(f"Recorded with my_scorer:loud {digest}") for note in notes)


def test_the_command_takes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Prepared] = []

    def stopped(prepared: Prepared, _: object) -> None:
        seen.append(prepared)
        raise KeyboardInterrupt

    monkeypatch.setattr("cluster.diagnosis.running.run_diagnosis", stopped)
    ended = CliRunner().invoke(app, ["diagnose", str(write(tmp_path)), "--seed", "3"])
    assert "continue with" in ended.output, ended.output
    assert list(seen[0].tasks) == ["navigate", "short_walks"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": ["absent.py"]}, "absent.py, which the settings list under code"),
        ({"code": "my_scorer.py"}, "The setting code must be a list of files and folders."),
        ({"code": []}, "there is no module my_scorer; list its file under code"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as fault:
        DiagnosisSettings.read(write(tmp_path, **changes))
    assert message in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_diagnosis_without_code_does_not_have_the_key(tmp_path: Path) -> None:
    settings = DiagnosisSettings.of({"tasks": ["navigate"], "out": str(tmp_path / "out")})
    assert "code" not in settings.model_dump(mode="json")
    assert not any(":" in name for name in prepare(settings).settings.recorded.versions)  # type: ignore[union-attr]


def test_to_look_at_the_ledger_runs_nothing_of_the_folder(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / "my_scorer.py").write_text("raise SystemExit('run')\n")
    assert [model.label for model in _models(str(file))]
    assert code_in_use() == CodeFiles()
