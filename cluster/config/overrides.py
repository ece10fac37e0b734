"""Turn command-line options into the settings that they override.

Nothing is checked here that the settings check themselves.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optimizer.errors import SettingsError, shortened
from serving.settings import addressed
from serving.settings.validation import read_mapping
from serving.settings.yaml_text import DuplicateKey, YAMLFault, read_yaml

_MODEL_OPTIONS = ("target", "optimizer")
_DATA_OPTIONS = ("tasks", "seeds", "seed", "sizes")
SPLITS = {"train": 50, "dev": 50, "test": 100}
# What int() accepts too, such as ² or 1_0, is more likely a slip.
_WHOLE_NUMBER = re.compile("[0-9]{1,9}")


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
        **plain: Other keys, as a file has them.

    Raises:
        SettingsError: The file cannot be read, or an option cannot be parsed.
    """
    data = read_mapping(file) if file else {}
    given = {name: value for name, value in plain.items() if value not in (None, [])}
    models = {name: as_model(given[name]) for name in _MODEL_OPTIONS if name in given}
    # An option overrides recorded settings too, to which no address is added later.
    given |= {name: addressed(model) for name, model in models.items()}
    if tasks or scorer is not None or seed_instruction is not None:
        changes = {"scorer": scorer, "seed_instruction": seed_instruction}
        chosen = tasks or _listed_in(data, "tasks")
        given["tasks"] = [_changed_task(_as_mapping(task, "source"), changes) for task in chosen]
    if strategies:
        given["strategies"] = [_of_file(data, name) for name in strategies]
    if sizes is not None:
        given["sizes"] = _sizes(sizes, usual_sizes)
    if calls := _set({"target_calls": target_calls, "optimizer_calls": optimizer_calls}):
        given["budget"] = _mapping_in(data, "budget") | calls
    if any(name in given for name in _DATA_OPTIONS):
        given["recorded"] = None  # other data than was recorded, on purpose
    return given


def as_model(text: str) -> str | dict[str, Any]:
    """Return a model as an option names it: one line, or a mapping as it would stand in FILE.

    Raises:
        SettingsError: A mapping cannot be parsed.
    """
    if not text.lstrip().startswith("{"):
        return text
    try:
        found = read_yaml(text)
    except DuplicateKey as problem:
        raise SettingsError(f"The model {shortened(text)!r} {problem.fault}.") from None
    except YAMLFault:
        found = None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise SettingsError(
            f"{shortened(text)!r} is no mapping; write a model as {{kind: openai, model: NAME}}, "
            "in quotes."
        )
    return found


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


def _changed_task(task: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's settings with changes; a grader of the file has either of two names."""
    if changes["scorer"] is not None:
        task.pop("grader", None)
    return task | _set(dict(changes))


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _sizes(text: str, usual: Mapping[str, int]) -> dict[str, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len(usual) or not all(_WHOLE_NUMBER.fullmatch(part) for part in parts):
        raise SettingsError(
            f"--sizes {shortened(text)!r} is not {','.join(usual).upper()}; write for example "
            f"--sizes {','.join(map(str, usual.values()))}."
        )
    return dict(zip(usual, map(int, parts), strict=True))
