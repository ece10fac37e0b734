"""Settings of a task's data: columns, files, sizes; and models that were not made for it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.config.sizes import SizeSettings
from cluster.config.task import TaskSettings
from cluster.experiment.prepare import check, course_of
from cluster.experiment.search_basis import basis_of, comparable
from optimizer.errors import DataError, SettingsError
from optimizer.tasks.sizes import AutoSizes, Shares, Sizes
from serving.settings.validation import validated
from tests.contracts.everyday_tasks import incident_notes, tickets, write

REMOTE = "openai:m@http://127.0.0.1:9/v1"
COLUMNS = {"input": "text", "target": "label"}


def read(folder: Path, **changes: Any) -> ExperimentSettings:
    given = {"tasks": ["navigate"], "strategies": ["apo"], "target": REMOTE, "optimizer": REMOTE}
    (folder / "e.yaml").write_text(yaml.safe_dump(given | changes), encoding="utf-8")
    return ExperimentSettings.read(folder / "e.yaml")


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ("auto", AutoSizes()),
        ({"auto": True}, AutoSizes()),
        ({"train": 5, "dev": 6, "test": 7}, Sizes(5, 6, 7)),
        ({"test": 7}, Sizes(50, 50, 7)),
        ("5,6,7", Sizes(5, 6, 7)),
        ({"train": 0.3, "dev": 0.3, "test": 0.4}, Shares(0.3, 0.3, 0.4)),
        ("0.3, .3, 0.4", Shares(0.3, 0.3, 0.4)),
        ({"shares": {"train": 0.1, "dev": 0.2, "test": 0.3}}, Shares(0.1, 0.2, 0.3)),
    ],
)
def test_sizes_are_written_in_any_way_and_read_back(given: Any, sizes: object) -> None:
    settings = validated(SizeSettings, given)
    assert settings.build() == sizes
    assert validated(SizeSettings, settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train": 0.3}, "mix counts and shares"),
        ({"train": 0.5, "dev": 0.5, "test": 0.5}, "at most 1 together"),
        ({"train": 1.5}, "a number of examples is whole"),
        ({"train": 0}, "greater than 0"),
        ({"train": -1}, "greater than 0"),
        ({"train": float("inf")}, "train"),
        ({"auto": True, "test": 3}, "give one of them"),
        ({"shares": {"train": 0.3}}, "shares are"),
        ({"tset": 3}, "did you mean 'test'"),
        ("all", "are not TRAIN,DEV,TEST; write for example 50,50,100, or auto"),
    ],
)
def test_impossible_sizes_are_refused_in_a_sentence(given: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        validated(SizeSettings, given)
    assert "\n" not in str(caught.value)


def test_input_beside_source_is_short_for_its_column() -> None:
    long = TaskSettings(source="a.csv", columns={"input": "{{q}}", "target": "a"})  # type: ignore[arg-type]
    short = validated(
        TaskSettings, {"source": "a.csv", "input": "{{q}}", "columns": {"target": "a"}}
    )
    assert short == long
    assert validated(TaskSettings, short.model_dump(mode="json")) == short
    with pytest.raises(SettingsError, match="say the same"):
        validated(TaskSettings, {"source": "a.csv", "input": "q", "columns": {"input": "q"}})


def test_a_source_may_be_three_files(tmp_path: Path) -> None:
    paths = {
        name: str(write(tmp_path / f"{name}.csv", tickets(90)[at * 30 : at * 30 + 30]))
        for at, name in enumerate(("train", "dev", "test"))
    }
    settings = read(tmp_path, tasks=[{"source": paths, "columns": COLUMNS}])
    [task] = settings.tasks
    assert task.files == {
        "source": paths["train"],
        "dev_file": paths["dev"],
        "test_file": paths["test"],
    }
    _, tasks, _ = check(settings)
    assert [len(part) for part in (tasks["train", 0].train, tasks["train", 0].test)] == [30, 30]
    for source in ({"train": "a.csv"}, {"train": "a.csv", "test": "b.csv", "more": "c.csv"}):
        with pytest.raises(SettingsError, match="A source of several files is"):
            read(tmp_path, tasks=[{"source": source}])


def test_a_generated_task_has_no_columns(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="navigate is no file, so it has no columns"):
        read(tmp_path, tasks=[{"source": "navigate", "columns": COLUMNS}])


def test_what_is_not_given_is_not_written(tmp_path: Path) -> None:
    """The identity of what earlier versions ran depends on what is written."""
    assert set(read(tmp_path).tasks[0].model_dump()) == {
        "source",
        "label",
        "scorer",
        "seed_instruction",
        "sizes",
    }


def test_sizes_that_fit_are_the_course_of_the_usual_ones(tmp_path: Path) -> None:
    usual = {"train": 50, "dev": 50, "test": 100}
    assert read(tmp_path).sizes.build() == AutoSizes()
    assert course_of(read(tmp_path)) == course_of(read(tmp_path, sizes=usual))
    assert course_of(read(tmp_path)) != course_of(read(tmp_path, sizes=usual | {"dev": 51}))
    search = {"trials": 2, "space": {"selection": ["full", "racing"]}}
    bases = []
    for sizes in ("auto", usual):
        settings = read(tmp_path, sizes=sizes, search=search, strategies=["apo", "opro"])
        bases.append(comparable(basis_of(settings, check(settings)[2])))
    assert bases[0] == bases[1]
    assert course_of(
        read(tmp_path, tasks=[{"source": "navigate", "description": "Walk."}])
    ) != course_of(read(tmp_path))


def test_faults_of_all_tasks_are_told_at_once(tmp_path: Path) -> None:
    few = str(write(tmp_path / "few.csv", tickets(5)))
    notes = str(write(tmp_path / "notes.jsonl", incident_notes(20)))
    settings = read(tmp_path, tasks=[{"source": few, "columns": COLUMNS}, notes], seeds=[0, 1])
    with pytest.raises(DataError) as caught:
        check(settings)
    said = str(caught.value)
    assert said.count("Task 'few' has 5 distinct examples") == 1
    assert "notes.jsonl has no column input and no column target; it has: notes, summary" in said


def test_builtin_models_refuse_data_that_they_were_not_made_for(tmp_path: Path) -> None:
    path = str(write(tmp_path / "tickets.csv", tickets(60)))
    tasks = [{"source": path, "columns": COLUMNS}]
    with pytest.raises(SettingsError) as caught:
        check(read(tmp_path, tasks=tasks, target="builtin:target", optimizer="builtin:optimizer"))
    assert str(caught.value) == (
        "builtin:target and builtin:optimizer were made for the generated tasks (coin_flip, "
        "navigate, object_counting, web_of_lies) and files of their kind, and not for tickets: "
        "name another model with --target and --optimizer, or write {kind: builtin, name: target, "
        "any_data: true} to use it all the same."
    )
    with pytest.raises(SettingsError, match="builtin:target was made for"):
        check(read(tmp_path, tasks=tasks, target="builtin:target"))
    twice = {"kind": "builtin", "name": "target", "any_data": True}
    assert check(read(tmp_path, tasks=tasks, target=twice))
    again = read(tmp_path, tasks=tasks, target="builtin:target", recorded={"versions": {}})
    assert check(again), "what has begun may go on"


def test_a_stand_in_must_be_named_for_data_that_it_was_not_made_for(tmp_path: Path) -> None:
    path = str(write(tmp_path / "tickets.csv", tickets(60)))
    given = {"tasks": [{"source": path, "columns": COLUMNS}], "strategies": ["apo"]}
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(given | {"target": REMOTE}))
    with pytest.raises(SettingsError, match="builtin:optimizer was made for"):
        check(ExperimentSettings.read(tmp_path / "e.yaml"))
    assert check(read(tmp_path, tasks=given["tasks"], optimizer="builtin:optimizer"))


def test_builtin_models_take_files_of_the_generated_tasks_kind(tmp_path: Path) -> None:
    made = read(tmp_path)
    found = check(made)[1]["navigate", 0]
    rows = [{"input": one.input, "target": one.answers[0]} for one in (*found.train, *found.dev)]
    path = str(write(tmp_path / "walks.jsonl", rows))
    assert check(read(tmp_path, tasks=[path], target="builtin:target"))
