"""Objects of Kubernetes and KubeRay against their types, with unknown fields refused.

Asks no cluster and starts no Ray.

KubeRay's own fields are in schemas/kuberay-v1.7.json; the Kubernetes API's are the models of the
client package `kubernetes`. That package takes a field under its Python name too (`host_users`),
which a cluster would not: such a field is found as lost.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes.client
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from pydantic import ValidationError as ModelError

from tests.contracts.manifests.lost_keys import lost

SCHEMA = Path(__file__).parents[2] / "unit" / "cluster" / "schemas" / "kuberay-v1.7.json"
KUBERAY = ("RayCluster", "RayJob", "RayService")
PLAIN = {
    "ConfigMap": ("v1", "V1ConfigMap"),
    "Secret": ("v1", "V1Secret"),
    "PersistentVolumeClaim": ("v1", "V1PersistentVolumeClaim"),
    "NetworkPolicy": ("networking.k8s.io/v1", "V1NetworkPolicy"),
}
"""Kind -> its apiVersion and its model."""


def faults(manifest: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one object, a line each."""
    kind = str(manifest.get("kind"))
    if kind in KUBERAY:
        for error in _validator(kind).iter_errors(manifest):
            yield f"{error.json_path.removeprefix('$.')}: {error.message}"
    elif kind in PLAIN and manifest.get("apiVersion") == PLAIN[kind][0]:
        yield from kubernetes_faults(manifest, PLAIN[kind][1])
    else:
        yield f"no {kind} of {manifest.get('apiVersion')} is known here"


def kubernetes_faults(value: Any, model: str) -> Iterator[str]:
    """The same for a part that has a type of the Kubernetes API, such as V1PodTemplateSpec."""
    try:
        kept = getattr(kubernetes.client, model).model_validate(value)
    except ModelError as problem:
        for fault in problem.errors():
            yield f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    else:
        yield from lost(value, kept.model_dump(mode="json", by_alias=True, exclude_unset=True))


def _of_kubernetes(
    validator: Any, model: str, value: Any, schema: Any
) -> Iterator[ValidationError]:
    for fault in kubernetes_faults(value, model):
        yield ValidationError(fault)


def _of_ray_start(
    validator: Any, wanted: bool, value: Any, schema: Any
) -> Iterator[ValidationError]:
    for option, given in value.items():
        if option not in _ray_start_options() or not isinstance(given, str):
            yield ValidationError(f"`ray start` has no option --{option} of the text {given!r}")


@cache
def _ray_start_options() -> frozenset[str]:
    from ray.scripts.scripts import start

    return frozenset(name.removeprefix("--") for option in start.params for name in option.opts)


@cache
def _validator(kind: str) -> Any:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    checker = extend(
        Draft202012Validator, {"kubernetes": _of_kubernetes, "rayStartParams": _of_ray_start}
    )
    return checker({**schema, "$ref": f"#/$defs/{kind}"})
