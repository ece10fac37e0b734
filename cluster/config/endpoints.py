"""Which hosts an experiment's models are asked at: settled once, where its settings are read, and
told to people.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from serving.settings import ModelSettings, addressed


def with_addresses(given: Any) -> Any:
    """Return settings as a file has them, in which each endpoint's model without an address has
    that of OPENAI_BASE_URL.

    What a run has recorded stays as it is: it is continued where it was begun. Raises SettingsError
    for a variable that holds no address.
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


def told(models: Iterable[ModelSettings]) -> list[str]:
    """Return a line for each model that is asked over HTTP, with the address that its key goes
    to.
    """
    lines = (
        f"{model.label} is asked at {model.endpoint}"
        for model in models
        if model.endpoint is not None
    )
    return list(dict.fromkeys(lines))


def _settled(model: Any) -> Any:
    return addressed(model) if isinstance(model, str | Mapping) else model


def _listed(domain: Any) -> Any:
    """The models of a search's dimension: a list, or a mapping with a list in it."""
    if isinstance(domain, Mapping):
        return {key: _listed(values) for key, values in domain.items()}
    return [_settled(model) for model in domain] if isinstance(domain, list | tuple) else domain
