"""ExperimentSettings: every mistake is one sentence, the grid is what the file says, and what is
written can be read again.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.config.experiment import ExperimentSettings
from cluster.config.labels import slug
from optimizer.errors import SettingsError
from optimizer.strategies import ABO, APO, STRATEGIES

ROOT = Path(__file__).parents[4]
SMALL = {"tasks": ["navigate"], "strategies": ["apo"]}


def read(folder: Path, **changes: Any) -> ExperimentSettings:
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(SMALL | changes), encoding="utf-8")
    return ExperimentSettings.read(file)


def complaint(folder: Path, **changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_name_alone_stands_for_a_task_or_a_strategy(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert [task.source for task in settings.tasks] == ["navigate"]
    assert settings.strategies[0].build() == APO()


def test_strategies_take_their_own_settings(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        strategies=[{"name": "abo", "settings": {"demonstrations": 0, "refine": "whole_prompt"}}],
    )
    assert settings.strategies[0].build() == ABO(demonstrations=0, refine="whole_prompt")


def test_a_misspelt_key_names_the_nearest_known_one(tmp_path: Path) -> None:
    said = complaint(tmp_path, stratgies=["apo"])
    assert "'stratgies'" in said
    assert "did you mean 'strategies'?" in said


def test_a_misspelt_key_inside_another_says_where(tmp_path: Path) -> None:
    said = complaint(tmp_path, budget={"target_cals": 5})
    assert "did you mean 'target_calls'?" in said
    assert "budget" in said


def test_a_key_that_is_like_none_lists_the_known_ones(tmp_path: Path) -> None:
    assert "known are: target_calls, optimizer_calls" in complaint(tmp_path, budget={"zzz": 5})


def test_an_unknown_strategy_names_the_known_ones(tmp_path: Path) -> None:
    known = ", ".join(sorted(STRATEGIES))
    assert f"There is no strategy called 'opt'; known are: {known}." in complaint(
        tmp_path, strategies=["opt"]
    )


def test_an_unknown_selection_rule_names_the_known_ones(tmp_path: Path) -> None:
    assert (
        "known are: full, racing, successive_halving, successive_rejects, ucb, ucb_e."
        in complaint(tmp_path, selection="best")
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"strategies": [{"name": "abo", "settings": {"demonstration": 0}}]},
            "did you mean 'demonstrations'?",
        ),
        ({"strategies": [{"name": "abo", "settings": {"refine": "all"}}]}, "refine"),
        ({"strategies": [{"name": "apo", "settings": {"beam": "many"}}]}, "beam"),
        ({"target": "builtin:nobody"}, "known are: optimizer, target"),
        ({"target": "gpt"}, "names no model"),
        ({"seeds": []}, "seeds"),
        ({"sizes": {"train": 0}}, "sizes.train"),
        ({"concurrency": "some"}, "concurrency"),
        ({"trials": {"cpus": 0}}, "trials.cpus"),
        ({"trials": {"attempts": 0}}, "trials.attempts"),
        ({"trials": {"attempt": 2}}, "did you mean 'attempts'?"),
        ({"tasks": []}, "tasks"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_impossible_settings_are_named(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    assert expected in complaint(tmp_path, **changes)


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("tasks: [navigate]\n")
    with pytest.raises(SettingsError, match="strategies is missing"):
        ExperimentSettings.read(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tasks: [navigate", "not YAML"),
        ("", "holds no settings"),
        ("- a\n", "holds no settings"),
        ("a: \xff", "UTF-8"),
    ],
)
def test_a_file_that_is_no_settings_file_says_so(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=expected):
        ExperimentSettings.read(file)


def test_the_grid_has_every_task_strategy_and_seed_once(tmp_path: Path) -> None:
    settings = read(
        tmp_path, tasks=["navigate", "coin_flip"], strategies=["apo", "abo"], seeds=[3, 1, 3]
    )
    trials = [(task.label, strategy.label, seed) for task, strategy, seed in settings.grid()]
    assert len(trials) == len(set(trials)) == 8
    assert trials[:4] == [
        ("navigate", "apo", 3),
        ("navigate", "abo", 3),
        ("coin_flip", "apo", 3),
        ("coin_flip", "abo", 3),
    ]


def test_labels_are_made_distinct(tmp_path: Path) -> None:
    strategies = ["abo", {"name": "abo", "settings": {"rounds": 1}}]
    settings = read(tmp_path, tasks=["navigate", "data/navigate.json"], strategies=strategies)
    assert [task.label for task in settings.tasks] == ["navigate", "navigate 2"]
    assert [strategy.label for strategy in settings.strategies] == ["abo", "abo 2"]


def test_what_is_written_is_read_as_equal(tmp_path: Path) -> None:
    recorded = {"data": {"navigate": {0: "ab"}}}
    settings = read(
        tmp_path, strategies=["abo", "abo"], seeds=[0, 7], sizes={"test": 9}, recorded=recorded
    )
    assert read(tmp_path, **settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    "file", sorted((ROOT / "tune_configs").glob("*.yaml")), ids=lambda file: file.stem
)
def test_the_experiments_of_the_project_can_be_read(file: Path) -> None:
    assert list(ExperimentSettings.read(file).grid())


@given(st.text())
def test_a_slug_is_a_file_name(text: str) -> None:
    name = slug(text)
    assert Path(name).name == name
    assert name not in (".", "..")
