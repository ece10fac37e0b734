"""A Ray cluster on this machine that can lose nodes and gain others, in a process of its own,
commanded by lines.

A head without work, where drivers and ledgers live, and whatever workers are added. One line of
JSON for each line that is read: `actors` -> {node id: {process id: class name}} of all that live,
`add CPUS GPUS` -> {"node": id}, `remove NODE` -> {}; and first of all, unasked, {"address": ...}.
Ends, with all its nodes, when its input does.
"""

import logging
import sys

import ray
from ray.cluster_utils import Cluster

from tests.integration.three_nodes import MEMORY, living, say


def main() -> None:
    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    node_by_id = {}
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    say({"address": cluster.address})
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "actors":
            say(living())
        elif command == "add":
            cpus, gpus = map(int, arguments)
            node = cluster.add_node(num_cpus=cpus, num_gpus=gpus, object_store_memory=MEMORY)
            node_by_id[node.node_id] = node
            say({"node": node.node_id})
        else:
            cluster.remove_node(node_by_id.pop(arguments[0]), allow_graceful=False)
            say({})
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
