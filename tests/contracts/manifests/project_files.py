"""Every YAML file that the project gives its users, and what checks it.

Knows where they are; starts and asks nothing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cluster.config.experiment import ExperimentSettings
from optimizer.errors import SettingsError
from tests.contracts.manifests import kuberay, ray_up, serve_config

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "cluster" / "deploy"
EXPERIMENTS = ROOT / "tune_configs"
FILES = sorted([*DEPLOY.glob("*.y*ml"), *EXPERIMENTS.glob("*.y*ml")])


def documents(file: Path) -> list[Any]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def of_deploy(name: str) -> list[Any]:
    """The documents of a file in cluster/deploy."""
    return documents(DEPLOY / name)


def faults(file: Path, parts: list[Any]) -> list[str]:
    """What is wrong with the documents of a file, a line each."""
    return [fault for part in parts for fault in _check_of(file)(part)]


def _check_of(file: Path) -> Callable[[dict[str, Any]], Iterator[str]]:
    if file.parent == EXPERIMENTS:
        return experiment_faults
    return CHECKS.get(file.name, manifest_faults)


def experiment_faults(experiment: dict[str, Any]) -> Iterator[str]:
    """What `promptray run` would say."""
    try:
        ExperimentSettings.model_validate(experiment)
    except (ValidationError, SettingsError) as problem:
        yield str(problem)


def manifest_faults(manifest: dict[str, Any]) -> Iterator[str]:
    """Of an object of Kubernetes, with the documents that it carries as texts."""
    yield from kuberay.faults(manifest)
    if manifest.get("kind") == "RayService":
        yield from serve_config.faults(yaml.safe_load(manifest["spec"]["serveConfigV2"]))
    if manifest.get("kind") == "ConfigMap":
        for text in manifest["data"].values():
            yield from experiment_faults(yaml.safe_load(text))


CHECKS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "models.yaml": serve_config.settings_faults,
    "models-gpu.yaml": serve_config.settings_faults,
    "serve.yaml": serve_config.faults,
    "serve-llm.yaml": serve_config.faults,
    "ray-cluster.yaml": ray_up.faults,
}
"""Files of cluster/deploy that hold no objects of Kubernetes."""


def ray_clusters() -> list[dict[str, Any]]:
    """The RayCluster specs that other objects hold."""
    (service,), (*_, job) = of_deploy("rayservice.yaml"), of_deploy("rayjob.yaml")
    return [service["spec"]["rayClusterConfig"], job["spec"]["rayClusterSpec"]]


def pod_templates(*manifests: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every pod that KubeRay would make of these objects."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if cluster := spec.get("rayClusterConfig") or spec.get("rayClusterSpec"):
            yield cluster["headGroupSpec"]["template"]
            yield from (group["template"] for group in cluster["workerGroupSpecs"])
        if "submitterPodTemplate" in spec:
            yield spec["submitterPodTemplate"]
