"""A thing chosen from a table of names, with its own settings, as a YAML file writes it.

Knows the core's tables, no experiment.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

from pydantic import model_validator

from optimizer.protocols import SelectionRule, Strategy
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from serving.settings.validation import Strict, build_named


class ComponentSpec(Strict, ABC):
    """A thing from a table of names, with its own settings; a text stands for the name alone."""

    name: str
    label: str = ""
    """Its name in tables and file names; "" takes the name, numbered where it is used twice."""
    settings: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        self.build()
        return self

    @property
    def title(self) -> str:
        return self.label or self.name

    @abstractmethod
    def build(self) -> object:
        """The thing itself.

        Raises SettingsError where its settings are not of its kind; so it is built once when it is
        read.
        """


class StrategySpec(ComponentSpec):
    """A search method, as in optimizer.strategies.STRATEGIES."""

    def build(self, **changes: Any) -> Strategy:
        """With its settings, some of them replaced. Raises SettingsError."""
        return build_named("strategy", STRATEGIES, self.name, self.settings | changes)


class SelectionSpec(ComponentSpec):
    """A selection rule, as in optimizer.selection.SELECTION_RULES."""

    name: str = "racing"

    def build(self, **changes: Any) -> SelectionRule:
        """With its settings, some of them replaced. Raises SettingsError."""
        return build_named("selection rule", SELECTION_RULES, self.name, self.settings | changes)
