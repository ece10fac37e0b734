"""Parsing of a model's settings from one line or a mapping; every mistake gives one sentence.

A line is `builtin:NAME`, `openai:MODEL`, `openai:MODEL@BASE_URL`, `vllm:MODEL`, `litellm:MODEL`,
`python:MODULE:FUNCTION` or `scripted:FILE`; a mapping has `kind`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from optimizer.errors import SettingsError, unknown_name
from serving.settings.addresses import default_base_url
from serving.settings.base import Served
from serving.settings.builtin import BUILTIN_MODELS
from serving.settings.functions import FunctionSettings
from serving.settings.litellm import LiteLLMSettings
from serving.settings.openai import OpenAISettings
from serving.settings.scripted import ScriptedSettings
from serving.settings.validation import first_fault
from serving.settings.vllm import VLLMSettings

ModelSettings = Served | OpenAISettings
_ADDRESS = re.compile(r"@(?=[^@]*://)")
"""Separates the model from the address: the first @ with a :// behind it and no other @ between,
so that a model's name may hold an @.
"""
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d+/")


def parse_model(source: str | Mapping[str, Any]) -> ModelSettings:
    """Return settings from one line or from a mapping.

    Raises:
        SettingsError: If the kind or a setting is unknown, missing or impossible.
    """
    fields = _from_line(source) if isinstance(source, str) else dict(source)
    kind = str(fields.get("kind"))
    if kind not in _KINDS:
        raise unknown_name("kind of model", kind, _KINDS)
    model = _KINDS[kind](fields)
    try:
        return model.model_validate(fields)
    except ValidationError as problem:
        raise SettingsError(_sentence(problem, model)) from None


def addressed(source: str | Mapping[str, Any]) -> str | dict[str, Any]:
    """Return a model's line or mapping with the address of OPENAI_BASE_URL where it has none.

    Call it once, where a person's settings are read, so that all processes of a run agree on where
    the key goes. A model without an endpoint, or one that cannot be read, is returned unchanged.

    Raises:
        SettingsError: If the variable holds no address.
    """
    plain = source if isinstance(source, str) else dict(source)
    try:
        fields = _from_line(source) if isinstance(source, str) else source
    except SettingsError:
        return plain
    if (
        fields.get("kind") != "openai"
        or "base_url" in fields
        or (base_url := default_base_url()) is None
    ):
        return plain
    return (
        f"{plain.strip()}@{base_url}" if isinstance(plain, str) else plain | {"base_url": base_url}
    )


def _builtin(fields: Mapping[str, Any]) -> type[Served]:
    name = str(fields.get("name"))
    if name not in BUILTIN_MODELS:
        raise unknown_name("built-in model", name, BUILTIN_MODELS)
    return BUILTIN_MODELS[name]


_KINDS: dict[str, Callable[[Mapping[str, Any]], type[Served] | type[OpenAISettings]]] = {
    "builtin": _builtin,
    "litellm": lambda fields: LiteLLMSettings,
    "openai": lambda fields: OpenAISettings,
    "python": lambda fields: FunctionSettings,
    "scripted": lambda fields: ScriptedSettings,
    "vllm": lambda fields: VLLMSettings,
}
_KEY_OF_LINE = {
    "builtin": "name",
    "litellm": "model",
    "python": "function",
    "scripted": "script",
    "vllm": "model",
}
"""Kind -> the setting that a line has behind it."""


def _from_line(line: str) -> dict[str, Any]:
    kind, _, rest = line.strip().partition(":")
    if kind in _KEY_OF_LINE and (rest or kind == "builtin"):
        return {"kind": kind, _KEY_OF_LINE[kind]: rest}
    if kind == "openai" and rest:
        return {"kind": kind} | _openai(line.strip(), rest)
    raise SettingsError(
        f"{line!r} names no model: write builtin:target, builtin:optimizer, vllm:MODEL, "
        "openai:MODEL@BASE_URL, litellm:MODEL, python:MODULE:FUNCTION or scripted:FILE."
    )


def _openai(line: str, rest: str) -> dict[str, str]:
    """Return the model and, where the line has one, its address.

    Something like an address that is none is refused: as a part of the model's name it would send
    the key to another host.
    """
    if found := _ADDRESS.search(rest):
        return {"model": rest[: found.start()], "base_url": rest[found.end() :]}
    # A mistyped address must not become part of a model's name: the key would go to OpenAI.
    if "@" in rest or "://" in rest or _HOST_AND_PORT.match(rest) or rest.split() != [rest]:
        raise SettingsError(
            "A model behind an endpoint is written openai:MODEL@BASE_URL, with a BASE_URL that "
            "begins with http:// or https:// and "
            "has no spaces, as in openai:my-model@http://127.0.0.1:8000/v1; this line has "
            "something else there. A name with "
            "an @ or a space needs a mapping: {kind: openai, model: ..., base_url: ...}."
        )
    return {"model": rest}


def _sentence(problem: ValidationError, model: type[Served] | type[OpenAISettings]) -> str:
    """Return the first fault in plain words.

    The value is not quoted: it may be a secret in the wrong place.
    """
    fault = first_fault(problem)
    key = str(fault.loc[0]) if fault.loc else "?"
    if fault.kind == "extra_forbidden":
        return (
            f"A model of this kind has no setting {key!r}; known are: "
            f"{', '.join(sorted(model.model_fields))}."
        )
    reason = fault.text.rstrip(".")
    return f"The model's setting {key!r} is wrong: {reason}{'' if reason.endswith('?') else '.'}"
