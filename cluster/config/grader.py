"""The `grader` of a task's settings: a name, or a mapping with its kind and its settings."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from optimizer.errors import SettingsError, unknown_name
from optimizer.graders.graders import GRADERS, GraderSpec
from serving.settings.validation import build_named

GraderText = str | dict[str, Any]
"""The name of a grader, or `{kind: NAME, SETTING: VALUE, ...}`."""
KIND = "kind"


def read_grader(given: GraderText) -> GraderSpec:
    """Return the grader that settings name. Nothing is imported, and nothing is built.

    Raises:
        SettingsError: It is neither a name nor a mapping with one.
    """
    if isinstance(given, str):
        return GraderSpec(given)
    name = given.get(KIND)
    if not isinstance(name, str):
        raise SettingsError(
            "A grader is a name, such as exact, or a mapping with its kind and its settings, such "
            f"as {{kind: exact}}; known kinds are: {', '.join(sorted(GRADERS.table))}."
        )
    return GraderSpec(name, {key: value for key, value in given.items() if key != KIND})


def check_grader(spec: GraderSpec) -> None:
    """Check the settings of a grader that is known to this process.

    Raises:
        SettingsError: The name or a setting is unknown, or a value is impossible.
    """
    if spec.name not in GRADERS:
        raise unknown_name(GRADERS.noun, spec.name, GRADERS)
    kind: Any = GRADERS[spec.name]
    if isinstance(kind, type) and is_dataclass(kind):
        kinds: Mapping[str, Any] = GRADERS
        build_named("grader", kinds, spec.name, spec.settings)
    else:
        spec.build()
