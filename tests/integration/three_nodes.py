"""A Ray cluster of three nodes on this machine, in a process of its own, commanded by lines: a head
without work, and two workers.

Writes one line of JSON for each line that it reads: `actors` -> {node id: {process id: class name}}
of all that live, `remove NODE` -> {}, and first of all, unasked, {"address": ..., "workers": [node
id, ...]}. Ends, with all its nodes, when its input does.
"""

import json
import os
import sys

import ray
from ray._private.state import actors
from ray.cluster_utils import Cluster

MEMORY = 100_000_000
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what Ray prints is no answer


def living() -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for actor in actors().values():
        if actor["State"] == "ALIVE":
            found.setdefault(actor["Address"]["NodeID"], {})[actor["Pid"]] = actor["ActorClassName"]
    return found


def main() -> None:
    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    # A GPU each that is none: it decides where a replica is placed, and nothing uses it.
    node_by_id = {
        node.node_id: node
        for node in [
            cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=MEMORY) for _ in range(2)
        ]
    }
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    say({"address": cluster.address, "workers": list(node_by_id)})
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "remove":
            cluster.remove_node(node_by_id.pop(arguments[0]), allow_graceful=False)
        say(living() if command == "actors" else {})
    ray.shutdown()
    cluster.shutdown()


def say(answer: object) -> None:
    print(json.dumps(answer), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
