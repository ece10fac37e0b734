"""From one line or a mapping to the settings of a model, with every mistake answered in one sentence.

A line is `builtin:NAME`, `openai:MODEL`, `openai:MODEL@BASE_URL`, `vllm:MODEL` or `scripted:FILE`; a mapping has `kind`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from optimizer.errors import SettingsError, unknown_name
from serving.settings.base import Served
from serving.settings.builtin import BUILTIN_MODELS
from serving.settings.openai import OpenAISettings
from serving.settings.scripted import ScriptedSettings
from serving.settings.vllm import VLLMSettings

ModelSettings = Served | OpenAISettings
_OPENAI = re.compile(r"openai:(?P<model>.+?)(?:@(?P<base_url>https?://.+))?")


def parse_model(source: str | Mapping[str, Any]) -> ModelSettings:
    """Settings from one line or from a mapping. Raises SettingsError with one sentence."""
    fields = _from_line(source) if isinstance(source, str) else dict(source)
    kind = str(fields.get("kind"))
    if kind not in _KINDS:
        raise unknown_name("kind of model", kind, _KINDS)
    model = _KINDS[kind](fields)
    try:
        return model.model_validate(fields)
    except ValidationError as problem:
        raise SettingsError(_sentence(problem, model)) from None


def _builtin(fields: Mapping[str, Any]) -> type[Served]:
    name = str(fields.get("name"))
    if name not in BUILTIN_MODELS:
        raise unknown_name("built-in model", name, BUILTIN_MODELS)
    return BUILTIN_MODELS[name]


_KINDS: dict[str, Callable[[Mapping[str, Any]], type[Served] | type[OpenAISettings]]] = {
    "builtin": _builtin, "openai": lambda fields: OpenAISettings, "scripted": lambda fields: ScriptedSettings,
    "vllm": lambda fields: VLLMSettings}


def _from_line(line: str) -> dict[str, Any]:
    kind, _, rest = line.strip().partition(":")
    if kind == "builtin":
        return {"kind": kind, "name": rest}
    if kind == "vllm" and rest:
        return {"kind": kind, "model": rest}
    if kind == "scripted" and rest:
        return {"kind": kind, "script": rest}
    if match := _OPENAI.fullmatch(line.strip()):
        return {"kind": "openai", **{key: value for key, value in match.groupdict().items() if value}}
    raise SettingsError(
        f"{line!r} names no model: write builtin:target, builtin:optimizer, vllm:MODEL, openai:MODEL@BASE_URL or scripted:FILE.")


def _sentence(problem: ValidationError, model: type[Served] | type[OpenAISettings]) -> str:
    """The first fault in plain words. The value is not quoted: it may be a secret in the wrong place."""
    fault = problem.errors(include_url=False, include_input=False)[0]
    key = str(fault["loc"][0]) if fault["loc"] else "?"
    if fault["type"] == "extra_forbidden":
        return f"A model of this kind has no setting {key!r}; known are: {', '.join(sorted(model.model_fields))}."
    reason = fault["msg"].removeprefix("Value error, ").rstrip(".")
    return f"The model's setting {key!r} is wrong: {reason}{'' if reason.endswith('?') else '.'}"
