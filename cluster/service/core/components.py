"""The components that a service's operator lets tenants use beside promptray's own.

    components:
      strategies: {blind: "my_package.strategies:Blind"}     # or the name of an entry point
      graders: {polite: "my_package.scorers:polite"}

A tenant names the left side. What stands on the right is the operator's alone, and must be
installed where the service runs and on its cluster's machines. Every process of the service that
handles requests imports these names, and no others.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import field_validator

from cluster.service.schemas.plain import Name, harmless_settings
from optimizer.errors import SettingsError
from optimizer.graders.graders import GRADERS
from optimizer.registry import Registry
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.imported import TASKS
from serving.settings.validation import Strict


class ComponentSettings(Strict):
    """Name for tenants -> `package.module:Name`, or the name of an entry point."""

    strategies: dict[Name, str] = {}
    selection_rules: dict[Name, str] = {}
    graders: dict[Name, str] = {}
    tasks: dict[Name, str] = {}

    @field_validator("*")
    @classmethod
    def _are_new_names(cls, value: dict[str, str]) -> dict[str, str]:
        own = {name for registry in _REGISTRIES.values() for name in registry.table}
        for name in value:
            if name in own:
                raise SettingsError(f"The name {name!r} is one of promptray's own; choose another.")
        return value

    def import_all(self) -> None:
        """Import what the operator names, in this process; at once where that was done before.

        Raises:
            SettingsError: Something cannot be imported, or does not keep its contract.
        """
        for kind, registry in _REGISTRIES.items():
            for name, place in self.names(kind).items():
                if name not in registry:
                    found = registry.import_name(place, called=name)
                    if isinstance(found, type):
                        _expect_readable(registry.noun, place, found)

    def names(self, kind: str) -> Mapping[str, str]:
        """Return those of one kind, by their names for tenants."""
        named: Mapping[str, str] = getattr(self, kind)
        return named

    def whole(self, kind: str, name: str) -> str:
        """Return the name by which every process finds what a tenant calls `name`."""
        return self.names(kind).get(name, name)


def _expect_readable(noun: str, place: str, kind: type) -> None:
    """Raise SettingsError for settings whose types cannot be read: then no request may set any."""
    try:
        harmless_settings(kind, texts=True)
    except Exception as problem:  # whatever an annotation raises
        raise SettingsError(
            f"The types of the settings of the {noun} {place} cannot be read ({problem})."
        ) from problem


_REGISTRIES: dict[str, Registry[Any]] = {
    "strategies": STRATEGIES,
    "selection_rules": SELECTION_RULES,
    "graders": GRADERS,
    "tasks": TASKS,
}
