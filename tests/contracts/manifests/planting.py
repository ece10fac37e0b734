"""A misspelt key put into every mapping of a document, one at a time, so that its check is seen
failing. Knows plain data only.
"""

from collections.abc import Iterator
from typing import Any

import yaml

WEED = "num_replcas"
TEXTS = ("serveConfigV2", "experiment.yaml")
"""Keys whose values are YAML documents of their own."""
FREE = (
    "annotations",
    "labels",
    "matchLabels",
    "nodeSelector",
    "data",
    "limits",
    "requests",  # names of the user's own
    "file_mounts",
    "available_node_types",
    "env_vars",
    "engine_args",
)
"""Keys whose mappings have no fixed keys."""


def planted(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The place of each planted key, and the value with it. The value itself stays as it is."""
    if isinstance(value, dict):
        if place.rpartition(".")[2] not in FREE:
            yield f"{place}.{WEED}", {**value, WEED: 3}
        for key, inner in value.items():
            for where, grown in _inside(key, inner, f"{place}.{key}"):
                yield where, {**value, key: grown}
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            for where, grown in planted(inner, f"{place}[{number}]"):
                yield where, [*value[:number], grown, *value[number + 1 :]]


def _inside(key: str, value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if key not in TEXTS:
        yield from planted(value, place)
        return
    for where, grown in planted(yaml.safe_load(value), place):
        yield where, yaml.safe_dump(grown)
