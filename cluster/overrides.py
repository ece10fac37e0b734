"""From command-line options to the settings that they replace. Checks nothing that the settings check themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from optimizer.errors import SettingsError, shortened
from serving.strictness import read_mapping

_MODEL_OPTIONS = ("target", "optimizer")
_DATA_OPTIONS = ("tasks", "seeds", "sizes")


def overrides(
    file: Path | str, *, tasks: Sequence[str] | None, strategies: Sequence[str] | None, scorer: str | None,
    seed_instruction: str | None, sizes: str | None, target_calls: int | None, optimizer_calls: int | None, **plain: Any,
) -> dict[str, Any]:
    """Top-level keys for ExperimentSettings.read; options that are None change nothing. Raises SettingsError."""
    data = read_mapping(file)
    given = {name: value for name, value in plain.items() if value not in (None, [])}
    given |= {name: as_model(given[name]) for name in _MODEL_OPTIONS if name in given}
    if tasks or scorer is not None or seed_instruction is not None:
        changes = {"scorer": scorer, "seed_instruction": seed_instruction}
        chosen = tasks or _listed(data, "tasks")
        given["tasks"] = [_as_mapping(task, "source") | _set(changes) for task in chosen]
    if strategies:
        given["strategies"] = [_of_file(data, name) for name in strategies]
    if sizes is not None:
        given["sizes"] = _sizes(sizes)
    if calls := _set({"target_calls": target_calls, "optimizer_calls": optimizer_calls}):
        given["budget"] = (data.get("budget") or {}) | calls
    if any(name in given for name in _DATA_OPTIONS):
        given["recorded"] = None  # other data than was recorded, on purpose
    return given


def as_model(text: str) -> str | dict[str, Any]:
    """Return a model as an option names it: one line, or a mapping as it would stand in FILE. Raises SettingsError."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise SettingsError(f"{shortened(text)!r} is no mapping; write a model as {{kind: openai, model: NAME}}, in quotes.")
    return found


def _of_file(data: dict[str, Any], name: str) -> Any:
    """The entry of the file that has this label or name, with its settings; else the bare name."""
    entries = [_as_mapping(entry, "name") for entry in _listed(data, "strategies")]
    labelled = [entry for entry in entries if entry.get("label") == name]
    named = [entry for entry in entries if entry.get("name") == name and not entry.get("label")]
    return next(iter(labelled or named), name)


def _listed(data: dict[str, Any], key: str) -> list[Any]:
    """What the file lists under a key; nothing where it has something else there, which the settings will complain about."""
    value = data.get(key)
    return value if isinstance(value, list) else []


def _as_mapping(entry: Any, key: str) -> dict[str, Any]:
    return dict(entry) if isinstance(entry, dict) else {key: entry}


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _sizes(text: str) -> dict[str, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        raise SettingsError(f"--sizes {text!r} is not TRAIN,DEV,TEST; write for example --sizes 50,50,100.")
    return dict(zip(("train", "dev", "test"), map(int, parts), strict=True))
