"""Parse a search space: what its keys mean, and whether its values are possible.

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

from cluster.config.component_spec import STORED, SelectionSpec, StrategySpec
from cluster.search.domains import Domain, OneOf, Value, parse_domain
from cluster.search.space import Dimension, Space
from optimizer.errors import SettingsError, unknown_name
from optimizer.registry import Registry
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from serving.settings import ModelSettings, parse_model
from serving.settings.validation import refuse_unknown, sentence

STRATEGY, SELECTION, OPTIMIZER, SAMPLING = "strategy", "selection", "optimizer", "sampling"
_RESERVED = (STRATEGY, SELECTION, OPTIMIZER, SAMPLING, "target")
ModelText = str | Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class _Options:
    """Components with settings, of which a point has one."""

    key: str
    """The key that says which component a point has."""
    settings_by_name: Mapping[str, Sequence[str]]
    build: Callable[[str, dict[str, Any]], object]
    """Builds the component of a name with some settings replaced."""

    def only(self, name: str) -> "_Options":
        """Return the options with one of its components."""
        return _Options(self.key, {name: self.settings_by_name[name]}, self.build)


def read_space(
    given: Mapping[str, Any],
    strategies: Sequence[StrategySpec],
    selection: SelectionSpec,
    optimizer: ModelText,
    try_sampling: Callable[[dict[str, Any]], object],
    models: Mapping[str, ModelText],
    *,
    tried: bool = True,
    viewed: bool = False,
) -> Space:
    """Return the space that a settings file describes.

    Args:
        given: Keys and values of the space.
        strategies: The listed strategies.
        selection: The experiment's own rule, used where the space has no choice of rules.
        optimizer: The experiment's own optimizer model, used likewise.
        try_sampling: Raises SettingsError for sampling settings that are not possible.
        models: Models that the space may name, by label; without any, it names them by their lines.
        tried: Build every listed value, and both ends of every range, once. Without it the space is
            good for counting, which costs the same however many values there are.
        viewed: As in ExperimentSettings.view.

    Raises:
        SettingsError: A key or a value is not possible.
    """
    for strategy in strategies:
        if strategy.label in _RESERVED:
            raise SettingsError(
                f"A strategy cannot be labelled {strategy.label!r} in a search, where that word "
                "has a meaning."
            )
    domains = {key: _saying(key, partial(parse_domain, data)) for key, data in given.items()}
    options_by_key = {
        STRATEGY: _strategies(strategies),
        SELECTION: _selections(domains, selection, STORED if viewed else None),
        OPTIMIZER: _optimizers(domains, optimizer, models),
        SAMPLING: _Options(
            SAMPLING, {"": ("temperature", "max_tokens")}, lambda _, changes: try_sampling(changes)
        ),
    }
    parents = [Dimension(STRATEGY, OneOf(tuple(strategy.label for strategy in strategies)))]
    parents += [Dimension(key, domains[key]) for key in (SELECTION, OPTIMIZER) if key in domains]
    listed = {dimension.key for dimension in parents}
    children = [
        _saying(key, partial(_child, key, domain, options_by_key, listed, tried))
        for key, domain in domains.items()
        if key not in (SELECTION, OPTIMIZER)
    ]
    _refuse_two_of_one(children, strategies)
    return Space((*parents, *children))


def model_named(name: str, models: Mapping[str, ModelText]) -> ModelText:
    """Return the model that a space means by `name`: a label or, where no model has one, a line.

    Raises:
        SettingsError: No model has this label.
    """
    if models and name not in models:
        raise unknown_name("model", name, models)
    return models.get(name, name)


def model_at(base: ModelText, changes: Mapping[str, Any]) -> ModelSettings:
    """Return a model with some settings replaced.

    Raises:
        SettingsError: A change is unknown or out of range.
    """
    model = parse_model(base)
    return parse_model({**model.model_dump(), **changes}) if changes else model


def _saying(key: str, read: Callable[[], T]) -> T:
    """Return what `read` gives; its errors say which key they are about."""
    try:
        return read()
    except ValidationError as problem:
        raise SettingsError(f"In search.space, {key}: {sentence(problem)}") from problem
    except SettingsError as problem:
        raise SettingsError(f"In search.space, {key}: {problem}") from problem


def _strategies(strategies: Sequence[StrategySpec]) -> _Options:
    spec_by_label = {strategy.label: strategy for strategy in strategies}
    return _Options(
        STRATEGY,
        {label: _fields(STRATEGIES, spec.name) for label, spec in spec_by_label.items()},
        lambda label, changes: spec_by_label[label].build(**changes),
    )


def _selections(
    domains: Mapping[str, Domain], own: SelectionSpec, context: Mapping[str, Any] | None
) -> _Options:
    """Return the rules that the space lists, without settings; or the experiment's own rule."""
    specs = {own.name: own}
    if SELECTION in domains:
        specs = _saying(
            SELECTION,
            lambda: {
                name: SelectionSpec.model_validate({"name": name}, context=context)
                for name in _names(domains[SELECTION])
            },
        )
    return _Options(
        SELECTION,
        {name: _fields(SELECTION_RULES, name) for name in specs},
        lambda name, changes: specs[name].build(**changes),
    )


def _optimizers(
    domains: Mapping[str, Domain], own: ModelText, models_by_label: Mapping[str, ModelText]
) -> _Options:
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
    return _Options(OPTIMIZER, known, lambda name, changes: model_at(base_by_name[name], changes))


def _names(domain: Domain) -> tuple[str, ...]:
    names = domain.values if isinstance(domain, OneOf) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise SettingsError("It must be a list of names.")
    return tuple(str(name) for name in names)


class _Unknown(tuple[str, ...]):
    """The settings of a component that is not in this process.

    The process only looks at an experiment of another one: whatever a space names is one of them.
    """

    def __contains__(self, name: object) -> bool:
        return True


def _fields(registry: Registry[Any], name: str) -> tuple[str, ...]:
    if name not in registry:
        return _Unknown()
    return tuple(field.name for field in fields(registry[name]))


def _child(
    key: str, domain: Domain, options_by_key: Mapping[str, _Options], parents: set[str], tried: bool
) -> Dimension:
    """Return the dimension of a setting: it applies under the names that have the setting."""
    owner, _, setting = key.rpartition(".")
    options = _owned(owner, key, options_by_key)
    if owner == OPTIMIZER and not isinstance(domain, OneOf):
        raise SettingsError(
            "Its values must be listed, because every model is hosted before the first trial."
        )
    among = [name for name, settings in options.settings_by_name.items() if setting in settings]
    if not among:
        refuse_unknown(
            [setting],
            dict.fromkeys(name for names in options.settings_by_name.values() for name in names),
        )
    known = [name for name in among if not isinstance(options.settings_by_name[name], _Unknown)]
    for name in known if tried else ():
        for value in domain.probes:
            options.build(name, {setting: value})
    if options.key not in parents:
        return Dimension(key, domain)
    return Dimension(key, domain, options.key, frozenset[Value](among))


def _owned(owner: str, key: str, options_by_key: Mapping[str, _Options]) -> _Options:
    labels = options_by_key[STRATEGY].settings_by_name
    if key == STRATEGY:
        raise SettingsError(
            "The strategies to choose from stand under 'strategies', not in the space."
        )
    if owner == "target" or key == "target":
        raise SettingsError(
            "The target is what prompts are for, and is not searched; give each target its own "
            "experiment."
        )
    if owner in options_by_key:
        return options_by_key[owner]
    if owner in labels:
        return options_by_key[STRATEGY].only(owner)
    known = [*(f"{name}.SETTING" for name in (*options_by_key, *labels)), SELECTION, OPTIMIZER]
    raise SettingsError(f"A space has no such key; known are: {', '.join(known)}.")


def _refuse_two_of_one(children: Sequence[Dimension], strategies: Sequence[StrategySpec]) -> None:
    keys = {dimension.key: dimension for dimension in children}
    for label in (strategy.label for strategy in strategies):
        for key in keys:
            owner, _, setting = key.rpartition(".")
            shared = keys.get(f"{STRATEGY}.{setting}")
            if owner == label and shared and label in shared.among:
                raise SettingsError(
                    f"In search.space, {key} and {shared.key} set the same of {label}; remove one."
                )
