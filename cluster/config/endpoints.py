"""Settle the hosts of an experiment's models once, where its settings are read."""

from collections.abc import Iterable, Mapping
from typing import Any

from serving.settings import ModelSettings, addressed


def with_addresses(given: Any) -> Any:
    """Return settings in which each endpoint without an address has that of OPENAI_BASE_URL.

    What a run has recorded stays as it is: it is continued where it was begun.

    Args:
        given: Settings as a file has them.

    Raises:
        SettingsError: The variable does not hold an address.
    """
    if not isinstance(given, Mapping) or given.get("recorded"):
        return given
    found = {key: _settled(given[key]) for key in ("target", "optimizer") if key in given}
    search = given.get("search")
    if (
        isinstance(search, Mapping)
        and isinstance(space := search.get("space"), Mapping)
        and "optimizer" in space
    ):
        found["search"] = {**search, "space": {**space, "optimizer": _listed(space["optimizer"])}}
    return {**given, **found}


def address_lines(models: Iterable[ModelSettings]) -> list[str]:
    """Return a line for each model that is called over HTTP, with the address that gets its key."""
    lines = (
        f"{model.label} is called at {model.endpoint}"
        for model in models
        if model.endpoint is not None
    )
    return list(dict.fromkeys(lines))


def _settled(model: Any) -> Any:
    return addressed(model) if isinstance(model, str | Mapping) else model


def _listed(domain: Any) -> Any:
    """Settle the models of a search's dimension: a list, or a mapping with a list in it."""
    if isinstance(domain, Mapping):
        return {key: _listed(values) for key, values in domain.items()}
    return [_settled(model) for model in domain] if isinstance(domain, list | tuple) else domain
