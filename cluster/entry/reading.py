"""The settings of an experiment from what a person names and the options beside it.

Options replace what a settings file says. Without a settings file they are all there is, and then
every fault of theirs, and of the data, is told at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.config.component_spec import IMPORTS
from cluster.config.experiment import ExperimentSettings
from cluster.config.labels import slug
from cluster.config.overrides import as_grader, as_model, overrides, prices_of, prompt_of, sizes_of
from cluster.config.task import TaskSettings
from cluster.entry.faults import FaultCollector
from cluster.entry.starting_point import StartingPoint, starting_point
from cluster.experiment.prepare import load
from optimizer.errors import SettingsError
from optimizer.registry import short_name
from serving.settings import ModelSettings, OpenAISettings, addressed, parse_model
from serving.settings.validation import validated

STRATEGY = "apo"
"""Strategy of an experiment that names none: it learns from the errors and their feedback, whatever
the task is [ours].
"""
_HERE = {IMPORTS: None}
"""Context of validation of options: names are imported, and no folder of a settings file is known.
"""


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """The options that commands have for an experiment, as texts; None changes nothing."""

    tasks: Sequence[str] | None = None
    target: str | None = None
    optimizer: str | None = None
    strategies: Sequence[str] | None = None
    selection: str | None = None
    seeds: Sequence[int] | None = None
    grader: str | None = None
    scorer: str | None = None
    prompt: str | None = None
    """The baseline: a file, or the text itself."""
    seed_instruction: str | None = None
    description: str | None = None
    keep: Sequence[str] | None = None
    input: str | None = None
    """The column of the input, or a template of columns."""
    target_column: str | None = None
    sizes: str | None = None
    code: Sequence[str] | None = None
    """Files and folders with components of one's own."""
    money: float | None = None
    """Budget of all trials together."""
    prices: str | None = None
    optimizer_prices: str | None = None
    target_calls: int | None = None
    optimizer_calls: int | None = None
    concurrency: int | None = None
    out: str | None = None
    name: str | None = None


def read_experiment(
    named: str, options: ExperimentOptions, *, with_keys: bool = True
) -> ExperimentSettings:
    """Return the settings of an experiment, known to be usable.

    Args:
        named: See starting_point.
        options: What replaces or completes it.
        with_keys: Expect the models' keys on this machine.

    Raises:
        UserError: Something is at fault; where there are no settings but options, it tells all.
    """
    start = starting_point(named)
    if start.kind == "settings":
        return ExperimentSettings.read(start.place, overrides(start.place, **asdict(options)))
    faults = FaultCollector()
    _check_options(start, options, faults, with_keys)
    if not faults:
        return validated(ExperimentSettings, _standing_alone(start, options), _HERE)
    _check_data(start, options, faults)
    faults.expect_none()
    raise AssertionError("faults were found")


def experiment_of(given: Mapping[str, Any]) -> ExperimentSettings:
    """Return settings that a program gives as a mapping, as a file would have them.

    Raises:
        SettingsError: A setting is unknown, missing or impossible.
    """
    return validated(ExperimentSettings, given, _HERE)


def _standing_alone(start: StartingPoint, options: ExperimentOptions) -> dict[str, Any]:
    """Return settings as a file would have them."""
    title = short_name(start.place) if start.kind == "task" else Path(start.place).stem
    plain = {
        "name": slug(title),
        "strategies": [STRATEGY],
        # The model that is asked writes the proposals too, unless another one is named.
        **({"optimizer": addressed(as_model(options.target))} if options.target else {}),
    }
    tasks = [start.place, *(options.tasks or ())]
    given = plain | overrides(None, **(asdict(options) | {"tasks": tasks}))
    if options.target and not options.optimizer and options.prices:
        given["optimizer"] = given["target"]
    given.pop("recorded", None)
    return given


def _check_options(
    start: StartingPoint, options: ExperimentOptions, faults: FaultCollector, with_keys: bool
) -> None:
    if start.kind == "data" and options.target is None:
        faults.add(
            "The model that the prompt is for is missing: name it with --model, such as "
            "openai:MODEL or openai:MODEL@BASE_URL."
        )
    models: dict[str, ModelSettings] = {}
    for role, text in (("target", options.target), ("optimizer", options.optimizer)):
        if text is not None:
            with faults.taking():
                models[role] = parse_model(addressed(as_model(text)))
    if with_keys:
        _check_keys(models.values(), faults)
    if options.money is not None:
        _check_prices(options, models, faults)
    checks: tuple[tuple[Callable[[str], object], str | None], ...] = (
        (prices_of, options.prices),
        (prices_of, options.optimizer_prices),
        (sizes_of, options.sizes),
        (as_grader, options.grader),
        (prompt_of, options.prompt),
    )
    for check, text in checks:
        if text is not None:
            with faults.taking():
                check(text)


def _check_keys(models: Iterable[ModelSettings], faults: FaultCollector) -> None:
    for model in {model.key_place: model for model in models}.values():
        with faults.taking():
            if isinstance(model, OpenAISettings):
                model.api_key()


def _check_prices(
    options: ExperimentOptions, models: Mapping[str, ModelSettings], faults: FaultCollector
) -> None:
    option_by_role = {"target": "--prices", "optimizer": "--optimizer-prices"}
    given = {"target": options.prices, "optimizer": options.optimizer_prices}
    for role, model in models.items():
        if model.prices is None and given[role] is None:
            faults.add(
                f"A budget in money needs the prices of {model.label}: give {option_by_role[role]} "
                "READ,WRITTEN, what a million tokens cost, such as 0.15,0.6."
            )


def _check_data(start: StartingPoint, options: ExperimentOptions, faults: FaultCollector) -> None:
    """Add the faults of the data, as far as the options permit to read it."""
    data = {"tasks": [start.place], **{name: getattr(options, name) for name in _OF_TASKS}}
    with faults.taking():
        try:
            given = overrides(None, **(asdict(ExperimentOptions()) | data))
        except SettingsError:  # told already
            return
        (entry,) = given["tasks"]
        sizes = {"sizes": given["sizes"]} if "sizes" in given else {}
        task = validated(TaskSettings, entry | sizes, _HERE)
        settings = ExperimentSettings.model_validate(
            {"tasks": [entry], "strategies": [STRATEGY]} | sizes, context=_HERE
        )
        load(task, settings.sizes_of(task), settings.seeds[0])


_OF_TASKS = (
    *("grader", "scorer", "prompt", "seed_instruction", "description", "keep"),
    *("input", "target_column", "sizes"),
)
