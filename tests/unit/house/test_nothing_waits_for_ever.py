"""What is forbidden so that nothing waits for ever and no background task dies unseen; see
serving.runtime.supervision.
"""

import ast
from functools import cache
from pathlib import Path

from tests.unit.house.sources import tree_of

ROOT = Path(__file__).parents[3]
FLOORS = ("cluster", "serving", "optimizer")
AWAITED_BY_THEIR_MAKERS = {
    "cluster/service/jobs/worker_pool.py": 2,
    "cluster/service/jobs/job_runner.py": 1,
    "cluster/service/backends/broadcast.py": 2,
    "cluster/service/http/events.py": 1,
}
"""Tasks of the service that are no background tasks: who makes them waits for them, and ends them.
"""
LOSES_A_CANCELLATION = {"cluster/experiment/trainable.py"}
"""asyncio.wait_for of Python 3.11 does, where what it waits for is done in the same moment:
asyncio.timeout does not. The one here waits in a task that nobody cancels.
"""


@cache
def calls() -> list[tuple[str, ast.Call, str]]:
    return [
        (path.relative_to(ROOT).as_posix(), node, ast.unparse(node.func))
        for floor in FLOORS
        for path in sorted((ROOT / floor).rglob("*.py"))
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
    ]


def test_every_answer_of_ray_has_a_deadline() -> None:
    found = [
        f"{path}:{call.lineno}"
        for path, call, name in calls()
        if name == "ray.get" and not any(keyword.arg == "timeout" for keyword in call.keywords)
    ]
    assert found == []


def test_no_wait_loses_a_cancellation() -> None:
    assert {path for path, _, name in calls() if name == "asyncio.wait_for"} <= LOSES_A_CANCELLATION


def test_the_service_s_background_tasks_are_supervised() -> None:
    counts: dict[str, int] = {}
    for path, _, name in calls():
        if path.startswith("cluster/service/") and name.rpartition(".")[2] in (
            "create_task",
            "ensure_future",
        ):
            counts[path] = counts.get(path, 0) + 1
    assert counts == AWAITED_BY_THEIR_MAKERS
