"""What is checked before anything starts, and the settings that a run leaves behind."""

from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import prepare, versions
from optimizer.errors import DataError, SettingsError, StorageError
from serving.storage import open_folder

SIZES = {"train": 3, "dev": 3, "test": 4}


def settings(out: Path | str | None, **changes: Any) -> ExperimentSettings:
    given = {
        "tasks": ["navigate"],
        "strategies": ["apo"],
        "target": {"kind": "builtin", "name": "target", "any_data": True},
        "optimizer": {"kind": "builtin", "name": "optimizer", "any_data": True},
        "sizes": SIZES,
        "seeds": [0, 1],
        "out": str(out or ""),
    } | changes
    return ExperimentSettings.model_validate(given)


def jsonl(folder: Path, count: int = 12) -> Path:
    file = folder / "sums.jsonl"
    file.write_text(
        "".join(f'{{"input": "{n} + 1?", "target": "{n + 1}"}}\n' for n in range(count))
    )
    return file


def test_every_trial_of_the_grid_gets_a_plan_and_a_task(tmp_path: Path) -> None:
    experiment = prepare(settings(tmp_path, strategies=["apo", "abo"]))
    assert [plan.id for plan in experiment.plans] == [
        "navigate-apo-s0",
        "navigate-abo-s0",
        "navigate-apo-s1",
        "navigate-abo-s1",
    ]
    assert {len(experiment.tasks[plan.task, plan.seed].test) for plan in experiment.plans} == {4}
    assert experiment.tasks["navigate", 0].test != experiment.tasks["navigate", 1].test


def test_what_it_writes_runs_the_same_again(tmp_path: Path) -> None:
    with chdir(jsonl(tmp_path).parent):
        first = prepare(settings(Path("out"), tasks=["sums.jsonl"]))
    again = prepare(ExperimentSettings.read(tmp_path / "out" / "settings.yaml"))
    assert again.plans == first.plans
    assert again.tasks == first.tasks
    assert again.out == open_folder(tmp_path / "out")
    assert again.settings == first.settings


def test_on_an_object_store_too(bucket: str) -> None:
    first = prepare(settings(bucket))
    assert first.out.names() == ["settings.yaml"]
    again = prepare(ExperimentSettings.read(first.out.place_of("settings.yaml")))
    assert (again.settings, again.out) == (first.settings, first.out)


def test_a_place_with_a_key_in_it_is_refused_and_not_repeated() -> None:
    with pytest.raises(StorageError, match="holds a key") as told:
        prepare(settings("s3://id:hunter2@bucket/x"))
    assert "hunter2" not in str(told.value)


def test_it_records_versions_and_the_hash_of_the_data(tmp_path: Path) -> None:
    experiment = prepare(settings(tmp_path))
    written = yaml.safe_load((tmp_path / "settings.yaml").read_text())["recorded"]
    assert written["versions"] == versions()
    assert written["data"]["navigate"]["0"] == experiment.tasks["navigate", 0].data_hash


def test_data_that_changed_since_is_refused(tmp_path: Path) -> None:
    prepare(settings(tmp_path / "out", tasks=[str(jsonl(tmp_path))]))
    jsonl(tmp_path, count=11)
    with pytest.raises(DataError, match="'sums' is not what these settings were recorded with"):
        prepare(ExperimentSettings.read(tmp_path / "out" / "settings.yaml"))


def test_another_version_is_told_and_not_refused(tmp_path: Path) -> None:
    experiment = prepare(settings(tmp_path, recorded={"versions": {"ray": "1.0"}}))
    assert experiment.notes == (f"Recorded with ray 1.0, running with {versions()['ray']}.",)


def test_without_a_folder_each_run_gets_a_new_one_under_results(tmp_path: Path) -> None:
    with chdir(tmp_path):
        out = prepare(settings(None, name="mine")).out
    assert out.place.startswith("results/mine-2")


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="not writable"):
        prepare(settings(tmp_path / "file" / "out"))


def test_a_budget_that_the_final_test_would_use_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"needs 8 target calls, and budget.target_calls is 8"):
        prepare(settings(tmp_path, budget={"target_calls": 8}))
