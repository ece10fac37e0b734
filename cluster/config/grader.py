"""The `grader` of a task's settings: a name, or a mapping with its kind and its settings."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from optimizer.errors import unknown_name
from optimizer.graders.graders import GRADERS, GraderSpec
from serving.settings.validation import build_named

GraderText = str | dict[str, Any]
"""The name of a grader, or `{kind: NAME, SETTING: VALUE, ...}`."""


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
