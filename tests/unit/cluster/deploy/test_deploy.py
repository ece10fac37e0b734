"""Every YAML file for users is valid where it is used, with unknown keys refused.

What they say is in the tests beside this one.

Offline: no Ray, no cluster, no cloud. The builder of serve-llm.yaml is checked in
tests/integration/vllm, where it can be imported.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.manifests.planting import planted
from tests.contracts.manifests.project_files import DEPLOY, FILES, documents, faults, of_deploy

NOWHERE = re.compile(r"(?!)")
ELSEWHERE = {
    "serve-llm.yaml": re.compile(r"\.args\b"),
    "ray-cluster.yaml": re.compile(r"\.resources\."),
}
"""Places that are not checked here: another project's arguments, and the resources of a machine,
whose names are the user's.
"""


def kinds(file: Path) -> list[str]:
    return [part["kind"] for part in documents(file)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_valid(file: Path) -> None:
    parts = documents(file)
    assert parts
    assert faults(file, parts) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_misspelt_key_is_found_in_every_mapping_of_every_file(file: Path) -> None:
    places = [
        (place, parts)
        for place, parts in planted(documents(file))
        if not ELSEWHERE.get(file.name, NOWHERE).search(place)
    ]
    assert len(places) > 1
    assert [place for place, parts in places if not faults(file, parts)] == []


def test_the_files_are_those_that_are_meant() -> None:
    assert {file.name for file in FILES if file.parent == DEPLOY} == {
        "models.yaml",
        "models-gpu.yaml",
        "serve.yaml",
        "serve-llm.yaml",
        "ray-cluster.yaml",
        "rayservice.yaml",
        "rayjob.yaml",
        "networkpolicy.yaml",
        "secrets.example.yaml",
    }
    assert kinds(DEPLOY / "rayjob.yaml") == ["ConfigMap", "PersistentVolumeClaim", "RayJob"]
    assert kinds(DEPLOY / "rayservice.yaml") == ["RayService"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"env": [{"name": "A", "value": 8}]}, "valid string"),
        ({"env": [{"value": "8"}]}, "required"),
        ({"image_pull_policy": "Always"}, "image_pull_policy is not known"),
        ({"securityContext": {"runAsNonRoot": "yes"}}, "valid boolean"),
    ],
)
def test_a_container_is_held_to_the_kubernetes_api(change: dict[str, Any], said: str) -> None:
    (service,) = of_deploy("rayservice.yaml")
    service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0] |= (
        change
    )
    assert any(said in fault for fault in faults(DEPLOY / "rayservice.yaml", [service]))


@pytest.mark.parametrize("params", [{"num-cpus": 0}, {"num-cpu": "0"}])
def test_ray_start_parameters_are_options_of_ray_start_and_texts(params: dict[str, Any]) -> None:
    (service,) = of_deploy("rayservice.yaml")
    service["spec"]["rayClusterConfig"]["headGroupSpec"]["rayStartParams"] = params
    assert any("ray start" in fault for fault in faults(DEPLOY / "rayservice.yaml", [service]))


def test_an_attempt_at_a_running_cluster_cannot_be_repeated() -> None:
    job = of_deploy("rayjob.yaml")[2]
    del job["spec"]["rayClusterSpec"]
    job["spec"]["clusterSelector"] = {"ray.io/cluster": "other"}
    assert faults(DEPLOY / "rayjob.yaml", [job])
