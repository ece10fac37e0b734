"""The parts of a request about strategies, selection and search.

They are those of an experiment file that a stranger may use: plain values under names from our
tables, without a model, a path or a module.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cluster.config.component_spec import ComponentSpec, SelectionSpec, StrategySpec
from cluster.config.search import SchedulerSpec, SearcherSpec
from cluster.search.domains import parse_domain
from cluster.search.schedulers import SCHEDULERS
from cluster.search.searchers import SEARCHERS
from cluster.service.schemas.plain import MOST_KEY, Key, Name, Value, harmless_settings
from optimizer.errors import SettingsError, unknown_name
from optimizer.protocols import SelectionRule, Strategy
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from serving.settings.validation import Strict

Settings = dict[Key, Value]
DomainKey = Literal["choice", "int", "float", "log"]


def _expect_harmless(noun: str, table: Any, choice: ComponentSpec) -> None:
    if choice.name not in table:
        raise unknown_name(noun, choice.name, table)
    kind = table[choice.name]
    for name in choice.settings:
        if name in kind.__dataclass_fields__ and name not in harmless_settings(kind, texts=True):
            raise SettingsError(
                f"The setting {name!r} of {noun} {choice.name!r} cannot be given in a request."
            )


class StrategyRequest(StrategySpec):
    """A strategy by its name in the catalogue, with its numbers and choices."""

    name: Name
    label: str = Field(
        "",
        description="Its name in tables; empty: the name.",
        json_schema_extra={"maxLength": MOST_KEY},
    )
    settings: Settings = {}

    def build(self, **changes: Any) -> Strategy:
        """Return the strategy.

        Raises:
            SettingsError: The name is unknown, or a setting is not allowed.
        """
        _expect_harmless("strategy", STRATEGIES, self)
        return super().build(**changes)


class SelectionRequest(SelectionSpec):
    """A selection rule by its name in the catalogue, with its numbers and choices."""

    name: Name = "racing"
    label: str = Field("", json_schema_extra={"maxLength": MOST_KEY})
    settings: Settings = {}

    def build(self, **changes: Any) -> SelectionRule:
        """Return the rule.

        Raises:
            SettingsError: The name is unknown, or a setting is not allowed.
        """
        _expect_harmless("selection rule", SELECTION_RULES, self)
        return super().build(**changes)


class SearcherRequest(SearcherSpec):
    """The searcher, which chooses the points of the search: grid, random or optuna."""

    name: Name = "random"
    label: str = Field("", json_schema_extra={"maxLength": MOST_KEY})
    settings: Settings = {}

    def build(self) -> Any:
        """Return the searcher.

        Raises:
            SettingsError: The name is unknown, or a setting is not allowed.
        """
        _expect_harmless("searcher", SEARCHERS, self)
        return super().build()


class SchedulerRequest(SchedulerSpec):
    """The scheduler, which stops trials early: none, asha or median."""

    name: Name = "none"
    label: str = Field("", json_schema_extra={"maxLength": MOST_KEY})
    settings: Settings = {}

    def build(self) -> Any:
        """Return the scheduler.

        Raises:
            SettingsError: The name is unknown, or a setting is not allowed.
        """
        _expect_harmless("scheduler", SCHEDULERS, self)
        return super().build()


def _read(data: Any) -> Any:
    """Return a domain as it came; raise SettingsError if it is none."""
    parse_domain(data)
    return data


Domain = Annotated[list[Value] | dict[DomainKey, bool | list[Value]], BeforeValidator(_read)]


class SearchRequest(Strict):
    """The space of a search and how it is searched.

    It is as `search` in an experiment file, with models by their labels.
    """

    space: dict[Key, Domain] = Field(
        {},
        description=(
            "strategy.SETTING, LABEL.SETTING, selection, selection.SETTING, sampling.SETTING, "
            "optimizer (labels of models that this "
            "service offers), optimizer.max_tokens: values as a list, {int: [LOW, HIGH]} or "
            "{float: [LOW, HIGH]}."
        ),
    )
    searcher: SearcherRequest = SearcherRequest()
    trials: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="Trials of each task and seed; not for grid."
    )
    scheduler: SchedulerRequest = SchedulerRequest()
