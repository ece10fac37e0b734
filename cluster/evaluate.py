"""Make the settings of an evaluation from what a person names: prompts, data and options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.apply import target_of
from cluster.config.labels import slug
from cluster.config.overrides import as_grader, as_model, prices_of, with_prices
from cluster.entry.faults import FaultCollector
from cluster.entry.starting_point import DATA_ENDINGS
from cluster.evaluation.prompts import NamedPrompt, about_of_all, read_prompt
from cluster.evaluation.settings import NAME, EvaluationSettings
from optimizer.errors import SettingsError
from optimizer.paths import expanded, whole
from serving.settings import OpenAISettings, addressed, parse_model


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """The options of `promptray evaluate`, as texts; None takes the default."""

    target: str | None = None
    grader: str | None = None
    input: str | None = None
    target_column: str | None = None
    least_score: float | None = None
    money: float | None = None
    prices: str | None = None
    target_calls: int | None = None
    max_tokens: int | None = None
    code: Sequence[str] | None = None
    """Files and folders with models and graders of one's own."""
    out: str | None = None
    name: str | None = None


def read_evaluation(
    prompts: Sequence[str], data: str, options: EvaluationOptions
) -> EvaluationSettings:
    """Return the settings of an evaluation, known to be usable.

    Args:
        prompts: Files or texts (see evaluation.prompts.read_prompt).
        data: A data file.
        options: What else was given. Model and grader default to those that the prompts' own files
            name.

    Raises:
        UserError: Something is at fault; it tells all.
    """
    faults = FaultCollector()
    named: list[NamedPrompt] = []
    for text in prompts:
        with faults.taking():
            named.append(read_prompt(text))
    target: Any = None
    with faults.taking():
        target = _target(named, options.target)
        if options.prices is not None:
            target = with_prices(target, prices_of(options.prices))
        model = parse_model(target)
        if isinstance(model, OpenAISettings):
            model.api_key()
    grader: Any = None
    with faults.taking():
        said = about_of_all(named, "grader") or about_of_all(named, "scorer")
        grader = said if options.grader is None else as_grader(options.grader)
    if not expanded(data).is_file():
        faults.add(
            f"There is no data file {data}; name a {', '.join(DATA_ENDINGS)} file with --data."
        )
    faults.expect_none()
    columns = {"input": options.input, "target": options.target_column}
    task = {"source": data, "grader": grader, "columns": _set(columns)}
    budget = {"target_calls": options.target_calls, "money": options.money}
    given = {
        "name": options.name or slug(f"{NAME}-{Path(data).stem}"),
        "prompts": [{"label": one.label, "prompt": one.prompt.to_json()} for one in named],
        "task": {key: value for key, value in task.items() if value},
        "target": target,
        "budget": _set(budget),
        "sampling": _set({"max_tokens": options.max_tokens}),
        "least_score": options.least_score,
        "out": options.out or "",
        **({"code": [str(whole(path)) for path in options.code]} if options.code else {}),
    }
    return evaluation_of(given)


def evaluation_of(given: Mapping[str, Any]) -> EvaluationSettings:
    """Return the settings of an evaluation that a command or a program gives.

    Raises:
        SettingsError: A setting is missing or wrong.
    """
    return EvaluationSettings.of(given)


def _target(named: Sequence[NamedPrompt], option: str | None) -> Any:
    """Return the model as settings have it: the option's, else the one that the prompts are for."""
    return target_of_all(named) if option is None else addressed(as_model(option))


def target_of_all(named: Sequence[NamedPrompt]) -> Any:
    """Return the model that the prompts are for, as settings have it; some may not name any.

    Raises:
        SettingsError: None of them names one, or they are for different ones.
    """
    own = [target_of(prompt.about, prompt.place) for prompt in named]
    known = [one for one in own if one is not None]
    if known and all(one == known[0] for one in known):
        return known[0]
    raise SettingsError(
        "The model to ask is missing: name it with --model, such as openai:MODEL or "
        "openai:MODEL@BASE_URL."
        if None in own
        else "The prompts are for different models: name the one to ask with --model."
    )


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
