"""Fixes for an endpoint's rejection: which of a model's settings would make it answer.

They are derived from its words. Changes nothing by itself: another field, role or temperature may
change answers, so a person writes it into the settings. Knows no HTTP.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from serving.contracts.refusals import Rejected
from serving.settings import OpenAISettings

_UNWANTED = re.compile(
    r"not (?:be "
    r")?(?:support|permit|allow|enabl|accept|recogni|available)|unsupported|unrecogni[sz]ed|unknown|unexpected"
    r"|extra (?:inputs|fields)|does(?: not|n't) (?:support|accept)|forbidden|deprecated|instead",
    re.IGNORECASE,
)
_PLAIN = re.compile(
    r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z][\w./:@+-]*(?<!:)", re.IGNORECASE
)
"""Texts that YAML reads as texts without quotes."""
_LARGE = re.compile(
    r"too (?:large|long|high|many)|context|at most|maximum|exceed|less than or equal", re.IGNORECASE
)
_NAMED = {
    "max_tokens_field": r"max_(?:completion_|output_)?tokens",
    "send_temperature": r"temperature",
    "send_seed": r"\bseed\b",
    "system_role": r"\bsystem\b|developer instruction|developer role",
}


def fix_for(settings: OpenAISettings, rejected: Rejected) -> dict[str, Any]:
    """Return the changed setting that this rejection asks for; {} where none is clear."""
    for name, value in _wished(settings, rejected).items():
        if getattr(settings, name) != value and _is_about(rejected, name):
            return {name: value}
    return {}


def advice(rejected: Rejected) -> str:
    """Return other advice for the user as a sentence; "" where only the endpoint knows."""
    complaint = f"{rejected.field} {rejected.words}"
    if re.search(_NAMED["max_tokens_field"], complaint, re.IGNORECASE) and _LARGE.search(complaint):
        return (
            "To fix it, lower max_tokens: a target's in sampling, an optimizer's in its "
            "strategy's settings, or the model's "
            "own, which stands for both."
        )
    if rejected.of_size:
        return "To fix it, lower max_tokens, or make the prompt or the items shorter."
    if re.search(_NAMED["send_temperature"], complaint, re.IGNORECASE):
        return (
            "To fix it, give another temperature (a target's in sampling, an optimizer's in its "
            "strategy's settings)."
        )
    return ""


def as_settings(settings: OpenAISettings, changes: Mapping[str, Any]) -> str:
    """Return a model with these changes as it is written in a settings file."""
    shown: dict[str, Any] = {"kind": "openai", "model": settings.model}
    if settings.base_url != type(settings).model_fields["base_url"].default:
        shown["base_url"] = settings.base_url
    return (
        "{"
        + ", ".join(f"{name}: {_yaml(value)}" for name, value in {**shown, **changes}.items())
        + "}"
    )


def _wished(settings: OpenAISettings, rejected: Rejected) -> dict[str, Any]:
    other = "max_completion_tokens" if settings.max_tokens_field == "max_tokens" else "max_tokens"
    return {
        "max_tokens_field": other,
        "send_temperature": False,
        "send_seed": False,
        "system_role": "user",
    }


def _is_about(rejected: Rejected, name: str) -> bool:
    """Return whether the field itself is unwanted, and not only its value too large."""
    if not _UNWANTED.search(rejected.words):
        return False
    # A value that is too large is no reason to rename its field.
    if name == "max_tokens_field" and ("too large" in rejected.words or rejected.of_size):
        return False
    named = re.compile(_NAMED[name], re.IGNORECASE)
    # The field named by the endpoint is that of a message.
    if name == "system_role":
        return bool(named.search(rejected.words))
    return bool(named.fullmatch(rejected.field) if rejected.field else named.search(rejected.words))


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value)
