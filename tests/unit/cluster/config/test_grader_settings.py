"""The grader of a task in settings: a name or a mapping, plain data that names nothing twice."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config.components import components_of, revisions
from cluster.config.experiment import ExperimentSettings
from cluster.config.overrides import overrides
from cluster.config.task import TaskSettings
from cluster.experiment.prepare import as_yaml, check, course_of
from optimizer.errors import SettingsError
from optimizer.graders.graders import GRADERS, GraderSpec
from optimizer.graders.python import FUNCTIONS
from serving.settings.validation import validated

SMALL = {"train": 2, "dev": 2, "test": 3}
JSON = {"kind": "json", "fields": {"total": {"rule": "number", "tolerance": 0.5}}}


def settings_of(task: dict[str, Any], **more: Any) -> ExperimentSettings:
    return validated(
        ExperimentSettings, {"tasks": [task], "strategies": ["apo"], "sizes": SMALL, **more}
    )


@pytest.mark.parametrize("key", ["grader", "scorer"])
def test_both_names_of_the_key_mean_the_same(key: str) -> None:
    assert validated(TaskSettings, {"source": "navigate", key: "exact"}).grader == GraderSpec(
        "exact"
    )
    assert validated(TaskSettings, {"source": "x.csv", key: JSON}).grader == GraderSpec(
        "json", {"fields": JSON["fields"]}
    )


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(SettingsError, match="scorer is the older name of grader: give one"):
        validated(TaskSettings, {"source": "navigate", "grader": "exact", "scorer": "exact"})


@pytest.mark.parametrize("given", ["exact", {"kind": "exact"}])
def test_a_grader_without_settings_changes_no_course_of_an_experiment(given: Any) -> None:
    plain = settings_of({"source": "navigate", "scorer": "exact"})
    named = settings_of({"source": "navigate", "grader": given})
    assert course_of(named) == course_of(plain)
    assert as_yaml(named) == as_yaml(plain)
    assert "scorer: exact" in as_yaml(named)


def test_settings_of_a_grader_are_part_of_the_course() -> None:
    one, other = (
        settings_of({"source": "navigate", "grader": {"kind": "contains", "match": match}})
        for match in ("any", "all")
    )
    assert course_of(one) != course_of(other)


def test_a_run_takes_up_the_grader_that_it_has_written(tmp_path: Path) -> None:
    settings = settings_of({"source": "navigate", "grader": {"kind": "contains", "case": True}})
    (tmp_path / "settings.yaml").write_text(as_yaml(settings))
    again = ExperimentSettings.read(tmp_path / "settings.yaml")
    assert course_of(again) == course_of(settings)
    _, tasks, _ = check(again)
    assert tasks["navigate", 0].grader == GraderSpec("contains", {"case": True})
    assert tasks["navigate", 0].scorer == "contains"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"kind": "json", "fields": {"a": "nearly"}}, "no rule 'nearly'"),
        ({"kind": "contains", "match": "some"}, "Of grader 'contains'"),
        ({"kind": "nobody", "x": 1}, "known are: choice"),
        ({"match": "any"}, "a mapping with its kind"),
        (7, "grader|scorer"),
    ],
)
def test_a_wrong_grader_is_one_sentence(given: Any, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as caught:
        validated(TaskSettings, {"source": "navigate", "grader": given})
    assert "\n" not in str(caught.value)


def test_an_option_replaces_the_grader_of_a_file_under_either_name(tmp_path: Path) -> None:
    for key in ("grader", "scorer"):
        file = tmp_path / f"{key}.yaml"
        file.write_text(yaml.safe_dump({"tasks": [{"source": "navigate", key: JSON}]}))
        given = overrides(
            file,
            tasks=None,
            scorer="choice",
            seed_instruction=None,
            sizes=None,
            target_calls=None,
            optimizer_calls=None,
        )
        assert validated(TaskSettings, given["tasks"][0]).grader == GraderSpec("choice")


def test_a_function_of_ones_own_is_imported_known_again_and_travels_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for registry in (GRADERS, FUNCTIONS):
        monkeypatch.setattr(registry, "_imported", {})
    (tmp_path / "fine.py").write_text(
        "def near(example, answer):\n    return 0.5\n\n\n"
        "class Strict:\n    'A strict one.'\n    def __init__(self, level):\n        self.level = level\n"
        "    def __call__(self, response, example):\n"
        "        from optimizer.types import graded\n        return graded(self.level)\n"
    )
    given = {
        "code": ["fine.py"],
        "sizes": SMALL,
        "strategies": ["apo"],
        "tasks": [
            {
                "source": "navigate",
                "grader": {
                    "kind": "multi",
                    "parts": {
                        "near": {"kind": "python", "function": "fine:near"},
                        "strict": {"kind": "fine:Strict", "level": 0.25},
                    },
                },
            }
        ],
    }
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(given))
    settings = ExperimentSettings.read(file)
    assert [name for _, name in components_of(settings)] == ["fine:near", "fine:Strict"]
    assert set(revisions(settings)) == {"fine:near", "fine:Strict"}
    (tmp_path / "fine.py").write_text("def near(example):\n    pass\n")
    assert ExperimentSettings.view(file).tasks[0].grader == settings.tasks[0].grader
