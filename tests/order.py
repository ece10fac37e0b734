"""In which order files are tested: the longest first, so that the processes among which they are
shared end together.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

SECONDS_BY_FILE = {
    "e2e/chaos/test_killing.py": 150,
    "e2e/service/test_up_killed.py": 110,
    "integration/test_nodes.py": 80,
    "e2e/browser/test_story.py": 60,
    "integration/test_search_resumed.py": 60,
    "integration/serving/test_hosting.py": 40,
    "e2e/service/test_killed.py": 55,
    "integration/test_faulty_server.py": 55,
    "integration/test_search_on_ray.py": 50,
    "integration/test_run.py": 46,
    "e2e/chaos/test_kill_points.py": 40,
    "integration/serving/test_gateway_on_serve.py": 40,
    "e2e/chaos/test_faulty_calls.py": 40,
    "e2e/chaos/test_time_is_over.py": 40,
    "integration/test_submit.py": 38,
    "integration/test_ray_start.py": 35,
    "e2e/service/test_evaluations.py": 45,
    "e2e/service/test_backends.py": 35,
    "integration/serving/test_replicas.py": 35,
    "integration/test_checking.py": 30,
    "integration/serving/test_gate_actor.py": 25,
    "e2e/browser/test_access.py": 25,
    "integration/test_old_search_on_ray.py": 20,
    "integration/test_evaluate.py": 20,
    "unit/serving/builtin/test_figures.py": 20,
    "integration/test_diagnosis.py": 20,
    "integration/test_ledger_command.py": 20,
    "integration/test_hostile_command.py": 18,
}
"""About how long they take on a quiet machine; of a file that takes less nothing need be said."""


def longest_first(items: list[pytest.Item], tests: Path) -> None:
    """Sort the tests by how long their files take; those of a file, and files of which nothing is
    said, stay as they are.
    """
    items.sort(key=lambda item: -SECONDS_BY_FILE.get(item.path.relative_to(tests).as_posix(), 0))


TOGETHER = {
    "tests/e2e/chaos/test_killing.py": "chaos",
    "tests/e2e/chaos/test_faulty_calls.py": "chaos",
    "tests/e2e/chaos/test_time_is_over.py": "chaos",
    "tests/e2e/service/test_up_killed.py": "up",
    "tests/e2e/browser/test_story.py": "up",
    "tests/integration/test_faulty_server.py": "gateway",
    "tests/integration/serving/test_gateway_on_serve.py": "gateway",
}
"""Files that one process tests, by what they share: a cluster, endpoint and undisturbed run; a
service; a Serve that is ended and started with other HTTP settings, which costs the models that
other tests have hosted.
"""


class FileScheduling(LoadFileScheduling):
    """Give each process whole files, and those of TOGETHER that share something to one.

    Groups as xdist has them (`--dist loadgroup`) are not known to pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return TOGETHER.get(file, file)
