"""A component chosen from a table of names, with its own settings, as a YAML file writes it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationInfo, model_validator

from cluster.own_code.code_files import read_code, use_code, whole_places
from cluster.own_code.function_models import with_functions
from optimizer.errors import SettingsError
from optimizer.protocols import SelectionRule, Strategy
from optimizer.registry import Registry, short_name
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from serving.settings.validation import Strict, build_named

STORED = {"stored": True}
"""Context of validation for what was validated before, and is only looked at now: it is read as it
stands, and a component that is not in this process need not be.
"""
IMPORTS = "imports"
"""Key of the context of validation under which names are imported: for settings of whoever runs
them, and of nobody else. Its value is the folder of the settings file.
"""


def is_stored(info: ValidationInfo) -> bool:
    """Return whether something is only looked at."""
    return isinstance(info.context, Mapping) and bool(info.context.get("stored"))


def may_import(info: ValidationInfo) -> bool:
    """Return whether names may be imported."""
    return isinstance(info.context, Mapping) and IMPORTS in info.context


def with_own_code(data: Any, info: ValidationInfo) -> Any:
    """Return raw settings with whole paths under `code`, and make that code importable.

    It has to run before the other settings are validated, because their names may be of this code.
    Nothing happens to settings that must not import.

    Raises:
        SettingsError: `code` is no list of files and folders, or one of them cannot be imported.
        StorageError: A file cannot be read, or copied to where it is imported from.
    """
    if not may_import(info) or not isinstance(data, Mapping):
        return data
    listed = data.get("code") or ()
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise SettingsError("The setting code must be a list of files and folders.")
    places = whole_places(listed, info.context[IMPORTS] if info.context else None)
    use_code(read_code(places))
    return with_functions({**data, "code": places})


def folder_of(info: ValidationInfo) -> Path | None:
    """Return the folder of the settings file that is read; None where there is none."""
    folder = info.context.get(IMPORTS) if isinstance(info.context, Mapping) else None
    return folder if isinstance(folder, Path) else None


class ComponentSpec(Strict, ABC):
    """A component from a table of names, with its own settings; a text is the name alone."""

    registry: ClassVar[Registry[Any]]
    """Where its name is looked up."""
    name: str
    label: str = ""
    """Its name in tables and file names; "" takes the name, numbered where it is used twice."""
    settings: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _can_be_built(self, info: ValidationInfo) -> Self:
        if may_import(info):
            self.registry.import_name(self.name)
        if self.name in self.registry or not is_stored(info):
            self.build()
        return self

    @property
    def title(self) -> str:
        """Return the label, or the name where there is none."""
        return self.label or short_name(self.name)

    @abstractmethod
    def build(self) -> object:
        """Return the component itself.

        It is built once when it is read, so that wrong settings are reported then.

        Raises:
            SettingsError: The settings are not of its kind.
        """


class StrategySpec(ComponentSpec):
    """A search method, as in optimizer.strategies.STRATEGIES."""

    registry = STRATEGIES

    def build(self, **changes: Any) -> Strategy:
        """Return the strategy with its settings, some of them replaced by `changes`.

        Raises:
            SettingsError: The name or a setting is unknown or out of range.
        """
        return build_named("strategy", STRATEGIES, self.name, self.settings | changes)


class SelectionSpec(ComponentSpec):
    """A selection rule, as in optimizer.selection.SELECTION_RULES."""

    registry = SELECTION_RULES
    name: str = "racing"

    def build(self, **changes: Any) -> SelectionRule:
        """Return the rule with its settings, some of them replaced by `changes`.

        Raises:
            SettingsError: The name or a setting is unknown or out of range.
        """
        return build_named("selection rule", SELECTION_RULES, self.name, self.settings | changes)
