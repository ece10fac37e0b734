"""In which order files are tested: the longest first, so that the processes among which they are shared end together."""

from pathlib import Path

import pytest

SECONDS_BY_FILE = {
    "chaos/test_killing.py": 180, "service_tests/test_up_killed.py": 116, "cluster_tests/test_nodes.py": 85,
    "cluster_tests/test_run.py": 77, "cluster_tests/test_search_resumed.py": 60, "cluster_tests/test_submit.py": 58,
    "serving_tests/test_hosting.py": 55, "service_tests/test_killed.py": 55, "cluster_tests/test_faulty_server.py": 55,
    "cluster_tests/test_search_on_ray.py": 50, "service_tests/browser/test_story.py": 45, "chaos/test_kill_points.py": 40,
    "serving_tests/door/test_on_serve.py": 40, "chaos/test_faulty_calls.py": 40, "chaos/test_time_is_over.py": 40,
    "cluster_tests/test_ray_start.py": 35, "service_tests/test_office.py": 35, "serving_tests/test_replicas.py": 35,
    "cluster_tests/test_checking.py": 30, "format_tests/test_old_search_on_ray.py": 25, "builtin_tests/test_figures.py": 25,
    "cluster_tests/test_diagnosis.py": 20, "cluster_tests/test_ledger_command.py": 20, "hostile_tests/test_command.py": 20}
"""About how long they take on a quiet machine; of a file that takes less nothing need be said."""


def longest_first(items: list[pytest.Item], tests: Path) -> None:
    """Sort the tests by how long their files take; those of a file, and files of which nothing is said, stay as they are."""
    items.sort(key=lambda item: -SECONDS_BY_FILE.get(item.path.relative_to(tests).as_posix(), 0))
