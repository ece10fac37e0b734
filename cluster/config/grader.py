"""The `grader` of a task's settings: a name, or a mapping with its kind and its settings."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from optimizer.errors import SettingsError, unknown_name
from optimizer.graders.graders import GRADERS, JUDGES, GraderSpec, as_spec
from optimizer.graders.judging.judge import judges_in
from optimizer.types import Request
from serving.clients.probe import question_like
from serving.settings import ModelSettings, parse_model
from serving.settings.validation import build_named

GraderText = str | dict[str, Any]
"""The name of a grader, or `{kind: NAME, SETTING: VALUE, ...}`."""


def with_scorer(data: Any) -> Any:
    """Return a task's settings with the grader under its older name.

    Recorded settings, and with them the course of an experiment, hold that name.

    Raises:
        SettingsError: Both names are given.
    """
    if not isinstance(data, Mapping) or "grader" not in data:
        return data
    if data.get("scorer") is not None:
        raise SettingsError("scorer is the older name of grader: give one of them.")
    data = {key: value for key, value in data.items() if key != "scorer"}
    return {("scorer" if key == "grader" else key): value for key, value in data.items()}


def judge_model(spec: GraderSpec | None, default: ModelSettings) -> ModelSettings | None:
    """Return the model that a grader calls; None where it calls none.

    Args:
        spec: The grader; None where the examples decide, which never takes a judge.
        default: The model of a judge whose settings name none.

    Raises:
        SettingsError: Its judges name different models.
    """
    given = spec.judge_models() if spec else []
    models = [default if model is None else parse_model(model) for model in given]
    if len({model.identity for model in models}) > 1:
        raise SettingsError(
            "All judges of one task must have the same model; give each of them the same model, or "
            f"none for {default.label}."
        )
    return models[0] if models else None


def judge_votes(spec: GraderSpec) -> int:
    """Return how many calls of a model the grading of one answer takes; 0 where it takes none."""
    return sum(judge.votes for judge in judges_in(spec.build()))


def judge_requests(spec: GraderSpec | None) -> list[Request]:
    """Return a harmless request in each form in which a grader calls its model."""
    judges = judges_in(spec.build()) if spec else []
    return [question_like(judge.requests_at_most(0, 0)[-1]) for judge in judges]


def with_judge_models(spec: GraderSpec, model_of: Callable[[Any], Any]) -> GraderSpec:
    """Return a grader whose judges have other models; None of `model_of` stands for the default."""
    settings = dict(spec.settings)
    if spec.name in JUDGES and settings.get("model") is not None:
        settings["model"] = model_of(settings["model"])
        # A setting with its default stands nowhere.
        settings = {key: value for key, value in settings.items() if key != "model" or value}
    if spec.parts:
        settings["parts"] = {
            name: with_judge_models(part, model_of).to_json() for name, part in spec.parts.items()
        }
    return GraderSpec(spec.name, settings)


def shown_grader(given: GraderText | None) -> GraderText | None:
    """Return the grader of an experiment with models by their labels, for whoever only looks."""
    if not isinstance(given, Mapping):
        return given
    return with_judge_models(as_spec(given), lambda model: parse_model(model).label).to_json()


def check_grader(spec: GraderSpec) -> None:
    """Check the settings of a grader that is known to this process, and of its parts.

    Raises:
        SettingsError: The name or a setting is unknown, or a value is impossible.
    """
    if spec.name not in GRADERS:
        raise unknown_name(GRADERS.noun, spec.name, GRADERS)
    for part in spec.parts.values():
        check_grader(part)
    kind: Any = GRADERS[spec.name]
    if isinstance(kind, type) and is_dataclass(kind):
        kinds: Mapping[str, Any] = GRADERS
        build_named("grader", kinds, spec.name, spec.settings)
    spec.build()
    for model in spec.judge_models():
        if model is not None:
            parse_model(model)
