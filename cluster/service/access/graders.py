"""The graders that a request may name, and what becomes of them in a run.

A request names kinds of promptray's own and what the operator lists; a judge's model is one that
the operator offers, by its label. No function, module or address is ever a request's.
"""

from collections.abc import Collection, Mapping
from typing import Any

from cluster.config.grader import GraderText, check_grader, with_judge_models
from cluster.registry import named
from cluster.service.core.components import ComponentSettings
from optimizer.errors import SettingsError, shortened, unknown_name
from optimizer.graders.graders import GRADERS, JUDGES, PYTHON, GraderSpec, as_spec

_OPENAI = "openai:"
"""What stands before the name of a model in a grader object of OpenAI's when it is read."""
MOST_PARTS = 50
"""Maximum number of graders in one, at all levels [ours]."""


def expect_grader(given: GraderText, labels: Collection[str]) -> None:
    """Check the grader of a request.

    Args:
        given: As the request has it.
        labels: The labels of the models that it may name.

    Raises:
        SettingsError: It names something that is not offered, or a setting is impossible.
    """
    for spec in _all_in(as_spec(given)):
        if spec.name == PYTHON:
            raise SettingsError(
                "A request cannot name a function of its own as a grader: the operator of this "
                "service can list one under components.graders."
            )
        if spec.name not in named(GRADERS):
            raise unknown_name("scorer", shortened(spec.name), named(GRADERS))
        if spec.settings and spec.name not in GRADERS.table:
            raise SettingsError(f"The grader {spec.name} of this service takes no settings.")
        if spec.name in JUDGES and spec.settings.get("model") is not None:
            _label(spec.settings["model"], labels)
    if isinstance(given, Mapping):
        # A label is no model that this process could build: the operator's stands for it later.
        check_grader(_with_models(as_spec(given), dict.fromkeys(labels)))


def grader_for_run(
    given: GraderText, known: ComponentSettings, models: Mapping[str, Any]
) -> GraderText:
    """Return a grader with the operator's names and models in place of a request's.

    Args:
        given: As the request has it; `expect_grader` has let it pass.
        known: The operator's components.
        models: The operator's models by label.
    """
    spec = _with_models(as_spec(given), models)
    return _renamed(spec, known).to_json()


def judge_labels(given: GraderText | None, labels: Collection[str]) -> tuple[str, ...]:
    """Return the labels of the models that a request's grader calls, each once."""
    models = as_spec(given).judge_models() if isinstance(given, Mapping) else []
    return tuple(dict.fromkeys(_label(model, labels) for model in models if model is not None))


def _all_in(spec: GraderSpec) -> list[GraderSpec]:
    found = [spec]
    for part in spec.parts.values():
        found += _all_in(part)
        if len(found) > MOST_PARTS:
            raise SettingsError(f"A grader may have {MOST_PARTS} parts at most.")
    return found


def _label(model: Any, labels: Collection[str]) -> str:
    """Return the label of the offered model that a judge names; OpenAI's objects have bare ones."""
    name = model if isinstance(model, str) else ""
    for label in (name, name.removeprefix(_OPENAI)):
        if label in labels:
            return label
    raise unknown_name("model of this service", shortened(str(model)), labels)


def _with_models(spec: GraderSpec, models: Mapping[str, Any]) -> GraderSpec:
    return with_judge_models(spec, lambda model: models[_label(model, models)])


def _renamed(spec: GraderSpec, known: ComponentSettings) -> GraderSpec:
    settings = dict(spec.settings)
    if spec.parts:
        settings["parts"] = {
            name: _renamed(part, known).to_json() for name, part in spec.parts.items()
        }
    return GraderSpec(known.whole("graders", spec.name), settings)
