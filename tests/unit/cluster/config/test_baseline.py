"""The baseline of a task: a text or a file of any length, under either of its names, with kept parts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import as_yaml, course_of, load
from cluster.service.schemas.jobs import TaskRequest
from optimizer.errors import SettingsError
from optimizer.prompt import SEED_INSTRUCTION
from tests.unit.cluster.config.test_experiment_settings import complaint, read

PRODUCTION = Path(__file__).parents[3] / "contracts" / "production_prompt.md"


def given(**task: Any) -> dict[str, Any]:
    return {"tasks": [{"source": "navigate", **task}], "sizes": {"train": 4, "dev": 4, "test": 4}}


def seed_of(settings: ExperimentSettings) -> str:
    return load(settings.tasks[0], settings.sizes_of(settings.tasks[0]), 0).problem().seed.text()


@pytest.mark.parametrize("length", [8_500, 100_000])
def test_a_file_is_read_beside_the_settings_and_travels_as_text(
    tmp_path: Path, length: int
) -> None:
    text = ("Ünïcode, and plain. " * length)[:length].rstrip()
    (tmp_path / "system.md").write_text(f"{text}\n", encoding="utf-8")
    settings = read(tmp_path, **given(baseline={"file": "system.md"}))
    assert settings.tasks[0].baseline == text
    (tmp_path / "system.md").unlink()
    other = tmp_path / "other"
    other.mkdir()
    (other / "settings.yaml").write_text(as_yaml(settings), encoding="utf-8")
    again = ExperimentSettings.read(other / "settings.yaml")
    assert again.tasks == settings.tasks
    assert seed_of(again) == text
    assert ExperimentSettings.view(other / "settings.yaml").tasks == settings.tasks


def test_both_names_of_a_baseline_give_the_same_task(tmp_path: Path) -> None:
    older = read(tmp_path, **given(seed_instruction="Think."))
    assert older.tasks[0].baseline_text == "Think."
    assert seed_of(older) == seed_of(read(tmp_path, **given(baseline="Think."))) == "Think."
    assert seed_of(read(tmp_path, **given())) == SEED_INSTRUCTION
    assert "give one of them" in complaint(tmp_path, **given(seed_instruction="a", baseline="b"))


def test_what_is_not_given_is_no_part_of_an_experiment_s_identity(tmp_path: Path) -> None:
    dumped = yaml.safe_load(as_yaml(read(tmp_path, **given())))["tasks"][0]
    assert not {"baseline", "keep"} & dumped.keys()
    plain = course_of(read(tmp_path, **given()))
    assert plain != course_of(read(tmp_path, **given(baseline="a")))
    kept = given(baseline="a b", keep=["a"])
    assert course_of(read(tmp_path, **given(baseline="a b"))) != course_of(read(tmp_path, **kept))


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ({"baseline": {"file": "nowhere.md"}}, "nowhere.md cannot be read (No such file"),
        ({"baseline": {"file": "latin.md"}}, "latin.md cannot be read (it is not UTF-8 text)"),
        ({"baseline": {"path": "x"}}, "a text, or {file: system.md}"),
        ({"baseline": {"file": "x", "more": 1}}, "a text, or {file: system.md}"),
        ({"baseline": "# A\nx", "keep": ["# B"]}, "'# B' is not in the baseline"),
        ({"baseline": "<keep>x"}, "a <keep> has no </keep>"),
        ({"keep": ["# B"]}, "this task has the default one"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_told(
    tmp_path: Path, task: dict[str, Any], fault: str
) -> None:
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    assert fault in complaint(tmp_path, **given(**task))


def test_a_file_is_refused_where_nobody_may_name_one(tmp_path: Path) -> None:
    """A file is read for whoever runs settings, and for nobody who only shows or sends them."""
    (tmp_path / "secret.md").write_text("secret", encoding="utf-8")
    settings = yaml.safe_dump(
        {"strategies": ["apo"]} | given(baseline={"file": str(tmp_path / "secret.md")})
    )
    (tmp_path / "settings.yaml").write_text(settings, encoding="utf-8")
    with pytest.raises(SettingsError, match="must be given as a text here"):
        ExperimentSettings.view(tmp_path / "settings.yaml")
    with pytest.raises(ValidationError):
        TaskRequest.model_validate({"generated": "navigate", "baseline": {"file": "/etc/passwd"}})


def test_kept_parts_reach_the_problem_without_their_marks(tmp_path: Path) -> None:
    text = PRODUCTION.read_text("utf-8").replace("There are six teams.", "<keep>Six.</keep>")
    settings = read(tmp_path, **given(baseline=text, keep=["# Policies", "## Personal data"]))
    problem = load(settings.tasks[0], settings.sizes_of(settings.tasks[0]), 0).problem()
    assert [part.partition("\n")[0] for part in problem.keep] == ["Six.", "# Policies"]
    assert "## Threats and the press" in problem.keep[1]
    assert "<keep>" not in problem.seed.text()
    assert problem.is_plain  # a generated task is told as ever, but for what is fixed


def test_a_task_from_a_file_tells_what_is_known(tmp_path: Path) -> None:
    rows = "".join(f"is {number} odd,{'yes' if number % 2 else 'no'}\n" for number in range(40))
    (tmp_path / "odd.csv").write_text(f"input,target\n{rows}", encoding="utf-8")
    task = {"source": str(tmp_path / "odd.csv"), "description": "Tell odd from even."}
    settings = read(tmp_path, tasks=[task], sizes={"train": 8, "dev": 8, "test": 8})
    problem = load(settings.tasks[0], settings.sizes_of(settings.tasks[0]), 0).problem()
    assert problem.labels == ("no", "yes")
    assert "Right is the right one of the example's choices" in problem.answer_contract
    assert "'Answer: X'" in problem.answer_contract
    assert problem.where.startswith("The prompt is the system message")
    assert not problem.is_plain
