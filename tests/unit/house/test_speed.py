"""The house: a fast test is fast, and the slow files come first."""

import multiprocessing
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import fast, order
from tests.contracts import commands
from tests.contracts.commands import forked

TESTS = Path(__file__).parents[2]


class Item:
    """As much of a test as is looked at."""

    nodeid = "the planted test"

    def __init__(
        self, *markers: str, file: str = "test_planted.py", fixtures: tuple[str, ...] = ()
    ) -> None:
        self.markers = set(markers)
        self.path = TESTS / file
        self.fixturenames = fixtures

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.markers else None

    def add_marker(self, name: str) -> None:
        self.markers.add(name)


def watched(*markers: str) -> Any:
    return fast.GUARD.watching(Item(*markers))  # type: ignore[arg-type]


@pytest.mark.process
@pytest.mark.parametrize("caught", [False, True])
def test_a_fast_test_that_starts_a_process_fails_even_where_it_catches_that(caught: bool) -> None:
    told = pytest.raises(
        fast.NotFast, match=r"the planted test starts a process .* needs the marker process"
    )
    with told, watched(), suppress(*[fast.NotFast] * caught):
        subprocess.run([sys.executable, "--version"], check=True)
    with watched("process"):
        subprocess.run([sys.executable, "--version"], check=True)


@pytest.mark.process
@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_so_does_one_that_starts_it_by_multiprocessing(way: str) -> None:
    process = multiprocessing.get_context(way).Process(target=print)  # type: ignore[attr-defined]
    with pytest.raises(fast.NotFast), watched():
        process.start()
    assert process.pid is None


@pytest.mark.process
def test_so_does_one_that_starts_a_ray() -> None:
    from ray.cluster_utils import (
        Cluster,
    )  # ray.init would refuse where the session's Ray runs in this process already

    with pytest.raises(fast.NotFast, match="or ray where that is a Ray"), watched():
        Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})


def test_so_does_one_that_computes_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fast, "LONGEST_CPU_S", 0.0)
        with pytest.raises(fast.NotFast, match="needs the marker slow"), watched():
            sum(range(1000))
        with watched("slow"):
            sum(range(1000))


def test_what_uses_the_shared_ray_is_no_fast_test() -> None:
    item = Item(fixtures=("tmp_path", "local_ray"))
    assert fast.is_fast(item)  # type: ignore[arg-type]
    fast.mark([item])  # type: ignore[list-item]
    assert not fast.is_fast(item)  # type: ignore[arg-type]


@pytest.mark.process
def test_a_command_that_is_given_up_leaves_no_answer_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert forked("list").returncode == 0
    with monkeypatch.context() as patch:
        patch.setattr(
            commands._server()._process.stdout, "readline", lambda: pytest.fail("The time is over.")
        )
        with pytest.raises(pytest.fail.Exception, match="over"):
            forked("list")
    ended = forked("run", "/none.yaml")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "none.yaml" in ended.stderr


def test_the_longest_files_come_first_and_all_others_stay_as_they_were() -> None:
    assert [name for name in order.SECONDS_BY_FILE if not (TESTS / name).is_file()] == []
    assert [name for name in order.TOGETHER if not (TESTS.parent / name).is_file()] == []
    names = ["a.py", "integration/test_run.py", "b.py", "e2e/chaos/test_killing.py"]
    items: list[Any] = [Item(file=name) for name in names]
    order.longest_first(items, TESTS)
    assert [item.path.relative_to(TESTS).as_posix() for item in items] == [
        names[3],
        names[1],
        names[0],
        names[2],
    ]
