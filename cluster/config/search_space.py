"""What the keys of a search space mean, and whether its values can be: from YAML to a Space.

Knows the strategies' own settings.

    strategy.SETTING       of every listed strategy that has this setting
    LABEL.SETTING          of the strategy listed under that label alone, such as abo.demonstrations
    selection              names of selection rules
    selection.SETTING      of every rule in question that has this setting
    optimizer              optimizer models, one line each; or labels of the experiment's `models`,
                           where it has such
    optimizer.SETTING      of every model in question that has it; values listed, since each model
                           is hosted before the first trial
    sampling.SETTING       how the target answers: temperature, max_tokens

The strategies to choose from are those listed under `strategies`: they are the dimension
`strategy`. The target is not searched: it is what the prompts are for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from cluster.config.component_spec import SelectionSpec, StrategySpec
from cluster.search.domains import Domain, OneOf, Value, parse_domain
from cluster.search.space import Dimension, Space
from optimizer.errors import SettingsError, unknown_name
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from serving.settings import ModelSettings, parse_model
from serving.settings.validation import refuse_unknown, sentence

STRATEGY, SELECTION, OPTIMIZER, SAMPLING = "strategy", "selection", "optimizer", "sampling"
_RESERVED = (STRATEGY, SELECTION, OPTIMIZER, SAMPLING, "target")
ModelText = str | Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class _Shelf:
    """Things with settings, of which a point has one: the key that says which, the settings of
    each, and how one is built.
    """

    key: str
    settings_by_name: Mapping[str, Sequence[str]]
    build: Callable[[str, dict[str, Any]], object]

    def only(self, name: str) -> "_Shelf":
        return _Shelf(self.key, {name: self.settings_by_name[name]}, self.build)


def read_space(
    given: Mapping[str, Any],
    strategies: Sequence[StrategySpec],
    selection: SelectionSpec,
    optimizer: ModelText,
    try_sampling: Callable[[dict[str, Any]], object],
    models: Mapping[str, ModelText],
    *,
    tried: bool = True,
) -> Space:
    """The space that a settings file describes, with every value that can be tried built once.

    Raises SettingsError. Not `tried`,
    it is good for counting: that costs the same however many values there are.

    `selection` and `optimizer` are the experiment's own: they stand where the space has no choice
    of them. `models` are those that the space may name, by label; where there are none, it names
    them by their lines.
    """
    for strategy in strategies:
        if strategy.label in _RESERVED:
            raise SettingsError(
                f"A strategy cannot be labelled {strategy.label!r} in a search, where that word "
                "has a meaning."
            )
    domains = {key: _saying(key, partial(parse_domain, data)) for key, data in given.items()}
    shelves = {
        STRATEGY: _strategies(strategies),
        SELECTION: _selections(domains, selection),
        OPTIMIZER: _optimizers(domains, optimizer, models),
        SAMPLING: _Shelf(
            SAMPLING, {"": ("temperature", "max_tokens")}, lambda _, changes: try_sampling(changes)
        ),
    }
    parents = [Dimension(STRATEGY, OneOf(tuple(strategy.label for strategy in strategies)))]
    parents += [Dimension(key, domains[key]) for key in (SELECTION, OPTIMIZER) if key in domains]
    listed = {dimension.key for dimension in parents}
    children = [
        _saying(key, partial(_child, key, domain, shelves, listed, tried))
        for key, domain in domains.items()
        if key not in (SELECTION, OPTIMIZER)
    ]
    _refuse_two_of_one(children, strategies)
    return Space((*parents, *children))


def model_named(name: str, models: Mapping[str, ModelText]) -> ModelText:
    """Return the model that a space means by `name`: the one under this label, and where no model
    has a label the line itself.
    Raises SettingsError.
    """
    if models and name not in models:
        raise unknown_name("model", name, models)
    return models.get(name, name)


def model_at(base: ModelText, changes: Mapping[str, Any]) -> ModelSettings:
    """A model with some settings replaced. Raises SettingsError."""
    model = parse_model(base)
    return parse_model({**model.model_dump(), **changes}) if changes else model


def _saying(key: str, read: Callable[[], T]) -> T:
    """What `read` gives; its mistakes say which key they are about."""
    try:
        return read()
    except ValidationError as problem:
        raise SettingsError(f"In search.space, {key}: {sentence(problem)}") from problem
    except SettingsError as problem:
        raise SettingsError(f"In search.space, {key}: {problem}") from problem


def _strategies(strategies: Sequence[StrategySpec]) -> _Shelf:
    choice_by_label = {strategy.label: strategy for strategy in strategies}
    return _Shelf(
        STRATEGY,
        {label: _fields(STRATEGIES[choice.name]) for label, choice in choice_by_label.items()},
        lambda label, changes: choice_by_label[label].build(**changes),
    )


def _selections(domains: Mapping[str, Domain], own: SelectionSpec) -> _Shelf:
    """The rules that the space lists, with no settings of their own; or the experiment's rule, with
    its settings.
    """
    choices = {own.name: own}
    if SELECTION in domains:
        choices = _saying(
            SELECTION,
            lambda: {name: SelectionSpec(name=name) for name in _names(domains[SELECTION])},
        )
    return _Shelf(
        SELECTION,
        {name: _fields(SELECTION_RULES[name]) for name in choices},
        lambda name, changes: choices[name].build(**changes),
    )


def _optimizers(
    domains: Mapping[str, Domain], own: ModelText, models_by_label: Mapping[str, ModelText]
) -> _Shelf:
    base_by_name: dict[str, ModelText] = {"": own}
    if OPTIMIZER in domains:
        base_by_name = _saying(
            OPTIMIZER,
            lambda: {
                name: model_named(name, models_by_label) for name in _names(domains[OPTIMIZER])
            },
        )
    models = _saying(
        OPTIMIZER, lambda: {name: parse_model(base) for name, base in base_by_name.items()}
    )
    known = {
        name: [field for field in type(model).model_fields if field not in ("kind", "name")]
        for name, model in models.items()
    }
    return _Shelf(OPTIMIZER, known, lambda name, changes: model_at(base_by_name[name], changes))


def _names(domain: Domain) -> tuple[str, ...]:
    names = domain.values if isinstance(domain, OneOf) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise SettingsError("It must be a list of names.")
    return tuple(str(name) for name in names)


def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _child(
    key: str, domain: Domain, shelves: Mapping[str, _Shelf], parents: set[str], tried: bool
) -> Dimension:
    """The dimension of a setting: it applies under those names of its shelf that have the
    setting.
    """
    owner, _, setting = key.rpartition(".")
    shelf = _owned(owner, key, shelves)
    if owner == OPTIMIZER and not isinstance(domain, OneOf):
        raise SettingsError(
            "Its values must be listed, because every model is hosted before the first trial."
        )
    refuse_unknown(
        [setting],
        dict.fromkeys(name for names in shelf.settings_by_name.values() for name in names),
    )
    among = [name for name, settings in shelf.settings_by_name.items() if setting in settings]
    for name in among if tried else ():
        for value in domain.probes:
            shelf.build(name, {setting: value})
    if shelf.key not in parents:
        return Dimension(key, domain)
    return Dimension(key, domain, shelf.key, frozenset[Value](among))


def _owned(owner: str, key: str, shelves: Mapping[str, _Shelf]) -> _Shelf:
    labels = shelves[STRATEGY].settings_by_name
    if key == STRATEGY:
        raise SettingsError(
            "The strategies to choose from stand under 'strategies', not in the space."
        )
    if owner == "target" or key == "target":
        raise SettingsError(
            "The target is what prompts are for, and is not searched; give each target its own "
            "experiment."
        )
    if owner in shelves:
        return shelves[owner]
    if owner in labels:
        return shelves[STRATEGY].only(owner)
    known = [*(f"{name}.SETTING" for name in (*shelves, *labels)), SELECTION, OPTIMIZER]
    raise SettingsError(f"A space has no such key; known are: {', '.join(known)}.")


def _refuse_two_of_one(children: Sequence[Dimension], strategies: Sequence[StrategySpec]) -> None:
    keys = {dimension.key: dimension for dimension in children}
    for label in (strategy.label for strategy in strategies):
        for key in keys:
            owner, _, setting = key.rpartition(".")
            shared = keys.get(f"{STRATEGY}.{setting}")
            if owner == label and shared and label in shared.among:
                raise SettingsError(
                    f"In search.space, {key} and {shared.key} set the same of {label}; keep one."
                )
