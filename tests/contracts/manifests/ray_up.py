"""A cluster file of `ray up` against Ray's own schema, and the parts that this schema leaves open.

Asks no cloud.

Ray checks no key of `provider`, since each cloud has its own, nor any of `node_config`, which goes
to the cloud as it is: here the keys that Ray's schema describes and those of Amazon's RunInstances
that the file uses are the known ones.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import ray.autoscaler
from ray.autoscaler._private.util import prepare_config, validate_config

SCHEMA = Path(ray.autoscaler.__file__).parent / "ray-schema.json"
NODE_CONFIG = {
    "InstanceType",
    "ImageId",
    "BlockDeviceMappings",
    "IamInstanceProfile",
    "SubnetIds",
    "SecurityGroupIds",
}
BLOCK_DEVICE = {"DeviceName", "Ebs"}
VOLUME = {"VolumeSize", "VolumeType"}


def faults(config: dict[str, Any]) -> Iterator[str]:
    """What is wrong with it, a line each."""
    try:
        validate_config(prepare_config(deepcopy(config)))
    except (jsonschema.ValidationError, ValueError, RuntimeError) as problem:
        yield str(problem).splitlines()[0]
    described = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]["provider"][
        "properties"
    ]
    yield from _unknown("provider", config["provider"], set(described))
    for name, node in config["available_node_types"].items():
        yield from _node_faults(f"{name}.node_config", node["node_config"])


def _node_faults(place: str, node: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(place, node, NODE_CONFIG)
    for device in node.get("BlockDeviceMappings", []):
        yield from _unknown(f"{place}.BlockDeviceMappings", device, BLOCK_DEVICE)
        yield from _unknown(f"{place}.BlockDeviceMappings.Ebs", device["Ebs"], VOLUME)


def _unknown(place: str, given: dict[str, Any], known: set[str]) -> Iterator[str]:
    for key in given.keys() - known:
        yield f"{place}.{key} is not known"
