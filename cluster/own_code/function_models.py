"""Models that are Python functions: imported where settings are read to be run, with a revision."""

from collections.abc import Mapping
from typing import Any

from cluster.own_code.code_revision import revision_of
from serving.settings import parse_model
from serving.settings.functions import FUNCTIONS, FunctionSettings


def with_functions(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which each model that is a function has the revision of its code.

    The functions are imported: call it only for settings of whoever runs them, and when the code
    that they list can be imported.

    Args:
        given: Settings as a file has them.

    Raises:
        SettingsError: A function cannot be imported, or cannot be called.
    """
    found = {key: _revised(given[key]) for key in ("target", "optimizer") if key in given}
    if isinstance(models := given.get("models"), Mapping):
        found["models"] = {label: _revised(model) for label, model in models.items()}
    return {**given, **found}


def _revised(model: Any) -> Any:
    kind = model.partition(":")[0] if isinstance(model, str) else None
    if kind != "python" and not (isinstance(model, Mapping) and model.get("kind") == "python"):
        return model
    settings = parse_model(model)
    assert isinstance(settings, FunctionSettings)
    FUNCTIONS.import_name(settings.function)
    revision = revision_of(FUNCTIONS.module_of(settings.function))
    return settings.model_dump(exclude_defaults=True, mode="json") | {
        "kind": "python",
        "code_revision": revision,
    }
