"""What the files of cluster/deploy say together, and with the project: models, versions, ports, who may reach what. Offline."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _get_ray_resources_from_group_spec

from serving.settings import Served, parse_model
from tests.manifests.project_files import DEPLOY, ROOT, of_deploy, pod_templates, ray_clusters

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RAY = next(text for text in PROJECT["dependencies"] if text.startswith("ray[")).partition("==")[2]


def test_one_set_of_models_stands_in_the_files_for_one_place() -> None:
    (service,) = of_deploy("rayservice.yaml")
    in_service = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]["args"]
    (laptop,), (serve,), (gpus,) = of_deploy("models.yaml"), of_deploy("serve.yaml"), of_deploy("models-gpu.yaml")
    assert serve["applications"][0]["args"] == laptop
    assert in_service["models"] == gpus["models"]


@pytest.mark.parametrize("name", ["serve.yaml", "serve-llm.yaml"])
def test_serve_listens_on_loopback_unless_a_network_policy_stands_before_it(name: str) -> None:
    (config,) = of_deploy(name)
    assert config["http_options"]["host"] == "127.0.0.1"


def test_an_open_door_asks_for_keys() -> None:
    (service,) = of_deploy("rayservice.yaml")
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert config["http_options"]["host"] == "0.0.0.0"
    keys = Path(config["applications"][0]["args"]["door"]["api_keys_file"])
    for template in pod_templates(service):
        mounted = {mount["mountPath"]: mount["name"] for mount in template["spec"]["containers"][0]["volumeMounts"]}
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
    assert re.findall(r"^ARG PYTHON=py(.)(.+)$", dockerfile, re.M) == [tuple(required.removeprefix(">=").split("."))]


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
    """A group without nodes offers what its spec says: a model that asks for more would wait for ever, without a word."""
    (service,), (settings,) = of_deploy("rayservice.yaml"), of_deploy("models-gpu.yaml")
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    offers = [_get_ray_resources_from_group_spec(group, is_head=False) for group in groups]
    for model in map(parse_model, settings["models"]):
        assert isinstance(model, Served)
        demand = _demand(model.actor_options)
        assert any(all(offer.get(name, 0) >= amount for name, amount in demand.items()) for offer in offers), model.label


def _demand(options: dict[str, Any]) -> dict[str, float]:
    """A replica's request, in the names of Ray's resources."""
    kind = options.get("accelerator_type")
    return {"CPU": options["num_cpus"], "GPU": options.get("num_gpus", 0)} | ({f"accelerator_type:{kind}": 0.001} if kind else {})


def test_network_policies_select_the_pods_that_there_are() -> None:
    used = {tuple(sorted(template["metadata"]["labels"].items()))
            for template in pod_templates(*of_deploy("rayservice.yaml"), *of_deploy("rayjob.yaml"))}
    policies = of_deploy("networkpolicy.yaml")
    selected = {tuple(sorted(policy["spec"]["podSelector"]["matchLabels"].items())) for policy in policies}
    assert selected <= used
    assert all(any("submitter" in pair for pair in labels) for labels in used - selected)


def test_only_the_operator_and_the_submitter_reach_the_dashboard() -> None:
    for policy in of_deploy("networkpolicy.yaml"):
        own = policy["spec"]["podSelector"]
        for rule in policy["spec"]["ingress"]:
            ports = [port["port"] for port in rule.get("ports", [])]
            if not ports:
                assert rule["from"] == [{"podSelector": own}]
            if 8265 in ports:
                labels = [source["podSelector"]["matchLabels"] for source in rule["from"]]
                assert {label.get("app.kubernetes.io/component", "operator") for label in labels} <= {"operator", "submitter"}


def test_the_readme_names_every_file() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    names = {file.name for file in DEPLOY.iterdir() if file.is_file()} - {"README.md"}
    assert [name for name in names if f"`{name}`" not in text] == []
