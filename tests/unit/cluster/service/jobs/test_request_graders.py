"""What a request may have as its grader: kinds and models that are offered, and nothing of its own."""

from typing import Any

import pytest

from cluster.config.grader import shown_grader
from cluster.service.access.graders import expect_grader, grader_for_run, judge_labels
from cluster.service.core.components import ComponentSettings
from cluster.service.schemas.jobs import TaskRequest
from cluster.service.schemas.plain import expect_bounded
from optimizer.errors import SettingsError
from optimizer.graders.graders import GRADERS
from serving.settings.validation import validated

MODELS: dict[str, Any] = {
    "gpt": {"kind": "openai", "model": "gpt-4o", "base_url": "http://10.0.0.1/v1"},
    "builtin:target": "builtin:target",
}
JUDGE = {"kind": "label_model", "labels": {"good": 1, "bad": 0}, "rubric": "Is it good?"}
OBJECT = {
    "type": "label_model",
    "name": "tone",
    "model": "gpt",
    "input": [{"role": "user", "content": "{{sample.output_text}}"}],
    "labels": ["a", "b"],
    "passing_labels": ["a"],
}


@pytest.mark.parametrize(
    "given",
    [
        "exact",
        {"kind": "contains", "match": "all"},
        {"kind": "json", "fields": {"total": {"rule": "number", "tolerance": 1}}},
        JUDGE,
        JUDGE | {"model": "gpt"},
        OBJECT,
        {"kind": "multi", "parts": {"a": "exact", "b": JUDGE | {"model": "gpt"}}},
        {"type": "multi", "name": "m", "graders": {"a": OBJECT}, "calculate_output": "a"},
    ],
)
def test_what_is_offered_is_accepted_under_both_names(given: Any) -> None:
    for key in ("grader", "scorer") if isinstance(given, str) else ("grader",):
        task = validated(TaskRequest, {"generated": "navigate", key: given})
        assert task.graded_by == given
        expect_grader(task.graded_by, MODELS)


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(SettingsError, match="scorer is the older name of grader: give one"):
        validated(TaskRequest, {"generated": "navigate", "grader": "exact", "scorer": "exact"})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("os:abort", "no scorer called 'os:abort'"),
        ({"kind": "os:abort"}, "no scorer called 'os:abort'"),
        ({"kind": "python", "function": "os:abort"}, "cannot name a function of its own"),
        ({"type": "python", "name": "x", "source": "1"}, "is not run here"),
        ({"kind": "multi", "parts": {"a": {"kind": "python", "function": "os:abort"}}}, "function"),
        ({"kind": "multi", "parts": {"a": {"kind": "sys:exit"}}}, "no scorer called 'sys:exit'"),
        (JUDGE | {"model": "openai:gpt@http://evil.invalid/v1"}, "no model of this service"),
        (
            JUDGE | {"model": {"kind": "openai", "model": "x", "base_url": "http://evil.invalid"}},
            "no model",
        ),
        (OBJECT | {"model": "gpt-9"}, "no model of this service"),
        ({"kind": "multi", "parts": {"a": JUDGE | {"model": "python:os:abort"}}}, "no model"),
        ({"kind": "json", "schema": {"$ref": "file:///etc/passwd"}}, "not in it"),
        (JUDGE | {"rubric": "{{ env.KEY }}"}, "may name item.FIELD"),
        ({"kind": "contains", "match": "some"}, "contains"),
    ],
)
def test_what_is_not_offered_is_refused_in_one_sentence(given: Any, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as caught:
        expect_grader(given, MODELS)
    assert "\n" not in str(caught.value)
    assert "10.0.0.1" not in str(caught.value)


def test_a_run_has_the_operators_model_and_who_looks_sees_its_label() -> None:
    given = {"kind": "multi", "parts": {"a": "exact", "b": JUDGE | {"model": "gpt"}}}
    run = grader_for_run(given, ComponentSettings(), MODELS)
    assert run["parts"]["b"]["model"] == MODELS["gpt"]  # type: ignore[index]
    assert "10.0.0.1" not in str(shown_grader(run))
    assert judge_labels(given, MODELS) == ("gpt",)
    assert judge_labels("exact", MODELS) == ()


def test_a_grader_of_the_operators_has_no_settings_of_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(GRADERS, "_imported", {})
    monkeypatch.setitem(GRADERS.table, "theirs", GRADERS["exact"])  # type: ignore[arg-type]
    known = ComponentSettings.model_construct(
        graders={"theirs": "pkg:theirs"}, strategies={}, selection_rules={}, tasks={}
    )
    assert grader_for_run("theirs", known, MODELS) == "pkg:theirs"
    assert grader_for_run({"kind": "multi", "parts": {"a": "theirs"}}, known, MODELS) == {
        "kind": "multi",
        "parts": {"a": "pkg:theirs"},
    }


def test_a_grader_may_be_nested_as_deeply_as_openais_are_and_no_deeper() -> None:
    parts = {
        "type": "multi",
        "graders": {
            "a": OBJECT
            | {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]}
        },
        "calculate_output": "a",
    }
    expect_bounded({"tasks": [{"grader": parts}]})
    deep: Any = 1
    for _ in range(9):
        deep = {"grader": deep}
    with pytest.raises(SettingsError, match="nested deeper"):
        expect_bounded({"tasks": [{"grader": deep}]})
