"""Turn command-line options into the settings that they override.

Nothing is checked here that the settings check themselves.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.config.sizes import AUTO, read_sizes
from optimizer.errors import SettingsError, shortened
from optimizer.paths import expanded, whole
from serving.settings import addressed, parse_model
from serving.settings.validation import read_mapping
from serving.settings.yaml_text import DuplicateKey, YAMLFault, read_yaml

_MODEL_OPTIONS = ("target", "optimizer")
_PROMPT_ENDINGS = (".txt", ".md", ".prompt")
_LONGEST_PATH = 1000
"""Characters above which a prompt is no path [ours]."""
_OLDER_NAMES = {"grader": "scorer", "baseline": "seed_instruction"}
_DATA_OPTIONS = ("tasks", "seeds", "seed", "sizes")
SPLITS = {"train": 50, "dev": 50, "test": 100}


def overrides(
    file: Path | str | None,
    *,
    tasks: Sequence[str] | None,
    strategies: Sequence[str] | None = None,
    scorer: str | None,
    seed_instruction: str | None,
    sizes: str | None,
    target_calls: int | None,
    optimizer_calls: int | None,
    usual_sizes: Mapping[str, int] = SPLITS,
    grader: str | None = None,
    prompt: str | None = None,
    description: str | None = None,
    keep: Sequence[str] | None = None,
    input: str | None = None,
    target_column: str | None = None,
    money: float | None = None,
    prices: str | None = None,
    optimizer_prices: str | None = None,
    **plain: Any,
) -> dict[str, Any]:
    """Return the top-level keys of settings that options replace; None changes nothing.

    Args:
        file: The settings; None where options stand alone.
        tasks: The tasks, in place of the file's.
        strategies: Labels or names of strategies, in place of the file's.
        scorer: Scorer of all tasks.
        seed_instruction: Baseline prompt of all tasks.
        sizes: Examples in the splits, with commas between.
        target_calls: Budget of target calls.
        optimizer_calls: Budget of optimizer calls.
        usual_sizes: The splits of these settings, and their default sizes.
        grader: Grader of all tasks, a name or a mapping.
        prompt: Baseline prompt of all tasks, a file or the text itself.
        description: What all tasks are about.
        keep: Parts of the baseline that stay word for word.
        input: Column of the input, or a template of columns.
        target_column: Column of the target.
        money: Budget of all trials together.
        prices: Prices of the target model's tokens.
        optimizer_prices: Prices of the optimizer model's tokens.
        **plain: Other keys, as a file has them.

    Raises:
        SettingsError: The file cannot be read, or an option cannot be parsed.
    """
    data = read_mapping(file) if file else {}
    given = {name: value for name, value in plain.items() if value not in (None, [])}
    if "code" in given:  # relative to where the command is started, and not to FILE
        given["code"] = [str(whole(path)) for path in given["code"]]
    models = {name: as_model(given[name]) for name in _MODEL_OPTIONS if name in given}
    # An option overrides recorded settings too, to which no address is added later.
    given |= {name: addressed(model) for name, model in models.items()}
    given |= {
        name: with_prices(given.get(name, data.get(name)), prices_of(text))
        for name, text in (("target", prices), ("optimizer", optimizer_prices))
        if text is not None
    }
    changes = _set(
        {
            "scorer": scorer,
            "seed_instruction": seed_instruction,
            "grader": None if grader is None else as_grader(grader),
            "baseline": None if prompt is None else prompt_of(prompt),
            "description": description,
            "keep": list(keep) if keep else None,
        }
    )
    columns = _set({"input": input, "target": target_column})
    if tasks or changes or columns:
        chosen = tasks or _listed_in(data, "tasks")
        given["tasks"] = [
            _changed(_as_mapping(task, "source"), changes, columns) for task in chosen
        ]
    if strategies:
        given["strategies"] = [_of_file(data, name) for name in strategies]
    if sizes is not None:
        given["sizes"] = sizes_of(sizes, usual_sizes)
    budget = _set({"target_calls": target_calls, "optimizer_calls": optimizer_calls})
    if money is not None:
        budget["total"] = _mapping_in(_mapping_in(data, "budget"), "total") | {"money": money}
    if budget:
        given["budget"] = _mapping_in(data, "budget") | budget
    if any(name in given for name in _DATA_OPTIONS):
        given["recorded"] = None  # other data than was recorded, on purpose
    return given


def as_model(text: str) -> str | dict[str, Any]:
    """Return a model as an option names it: one line, or a mapping as it would stand in FILE.

    Raises:
        SettingsError: A mapping cannot be parsed.
    """
    return _name_or_mapping(text, "model", "{kind: openai, model: NAME}")


def _name_or_mapping(text: str, noun: str, example: str) -> str | dict[str, Any]:
    if not text.lstrip().startswith("{"):
        return text
    try:
        found = read_yaml(text)
    except DuplicateKey as problem:
        raise SettingsError(f"The {noun} {shortened(text)!r} {problem.fault}.") from None
    except YAMLFault:
        found = None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise SettingsError(
            f"{shortened(text)!r} is no mapping; write a {noun} as {example}, in quotes."
        )
    return found


def as_grader(text: str) -> str | dict[str, Any]:
    """Return a grader as an option names it: a name, or a mapping as it would stand in FILE.

    Raises:
        SettingsError: A mapping cannot be parsed.
    """
    return _name_or_mapping(text, "grader", "{kind: json, fields: [total]}")


def prompt_of(text: str) -> str | dict[str, str]:
    """Return a baseline as a task has it: the name of a file, or the text itself.

    Raises:
        SettingsError: There is no file of the name.
    """
    one_line = "\n" not in text and len(text) < _LONGEST_PATH
    if one_line and expanded(text).is_file():
        return {"file": str(whole(text))}
    if one_line and Path(text).suffix in _PROMPT_ENDINGS:
        raise SettingsError(f"There is no prompt file {text}.")
    return text


def prices_of(text: str | None) -> dict[str, float] | None:
    """Return prices as an option names them, READ,WRITTEN of a million tokens.

    Raises:
        SettingsError: They are no two numbers.
    """
    if text is None:
        return None
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(
            f"The prices {shortened(text)!r} are not READ,WRITTEN; write what a million tokens "
            "cost, for example 0.15,0.6."
        ) from None
    return {"prompt_per_million": read, "completion_per_million": written}


def with_prices(model: Any, prices: Mapping[str, float] | None) -> Any:
    """Return a model as a mapping with its prices.

    Raises:
        SettingsError: There is no model.
    """
    if model is None:
        raise SettingsError("Prices need a model: name it with --model or --optimizer.")
    settings = parse_model(addressed(model))
    return settings.model_dump(mode="json", exclude_unset=True) | {"prices": prices}


def _changed(
    task: dict[str, Any], changes: dict[str, Any], columns: dict[str, Any]
) -> dict[str, Any]:
    """Return a task with changes; what the file gives under an older name goes with the newer."""
    for new, old in _OLDER_NAMES.items():
        for one, other in ((new, old), (old, new)):
            if one in changes:
                task.pop(other, None)
    if columns:
        task["columns"] = _mapping_in(task, "columns") | columns
    return task | changes


def _of_file(data: dict[str, Any], name: str) -> Any:
    """Return the file's entry with this label or name, with its settings; else the bare name."""
    entries = [_as_mapping(entry, "name") for entry in _listed_in(data, "strategies")]
    labelled = [entry for entry in entries if entry.get("label") == name]
    named = [entry for entry in entries if entry.get("name") == name and not entry.get("label")]
    return next(iter(labelled or named), name)


def _listed_in(data: Mapping[str, Any], key: str) -> list[Any]:
    """Return what a file lists under a key.

    Raises:
        SettingsError: It has something other than a list there.
    """
    value = data.get(key)
    if value is not None and not isinstance(value, list):
        raise SettingsError(
            f"The setting {key} must be a list, such as "
            f"[{value if isinstance(value, str) else '...'}]."
        )
    return value or []


def _mapping_in(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping that a file has under a key.

    Raises:
        SettingsError: It has something other than a mapping there.
    """
    value = data.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise SettingsError(f"The setting {key} must be a mapping.")
    return dict(value or {})


def _as_mapping(entry: Any, key: str) -> dict[str, Any]:
    return dict(entry) if isinstance(entry, dict) else {key: entry}


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def sizes_of(text: str, usual: Mapping[str, int] = SPLITS) -> str | dict[str, float]:
    """Return the sizes of splits: counts, shares of the data, or `auto`.

    Raises:
        SettingsError: They are none of these.
    """
    if text.strip() == AUTO and usual is SPLITS:
        return AUTO
    try:
        return read_sizes(text, usual)
    except SettingsError as problem:
        raise SettingsError(f"--sizes: {problem}") from None
