"""An experiment on three nodes: its replicas follow the load of its trials, and both spread; a
replica that is killed and a worker node that is taken away in mid-run change nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
SETTINGS = {
    "tasks": ["navigate"],
    # One trial's 2 chunks are one replica's load, so a second replica is there for several trials.
    "target": {
        "kind": "builtin",
        "name": "target",
        "gpus": 1,
        "chunks_in_flight": 2,
        "replicas": {
            "min": 1,
            "max": 2,
            "target_ongoing_chunks": 2,
            "upscale_delay_s": 0,
            "downscale_delay_s": 3,
            "look_back_s": 10.1,
        },
    },
    "strategies": [
        {
            "name": "abo",
            "settings": {"rounds": 1, "decompositions": 1, "minibatch": 8, "children": 2},
        },
        {"name": "iterative_ape", "settings": {"rounds": 3, "pool": 4}},
    ],
    "seeds": [0, 1],
    "sizes": {"train": 16, "dev": 16, "test": 6},
    "budget": {"target_calls": 1500, "optimizer_calls": 200},
    "concurrency": 4,
}
NOT_THE_SAME = ("wall_s", "ledger_hits", "prefix_hit_rate", "money")
# Ray is to see within seconds that a node is no more.
HURRIED = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "2",
    "RAY_health_check_initial_delay_ms": "0",
}


class Nodes:
    """The cluster that three_nodes.py keeps."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        started = self._answer()
        self.address: str = started["address"]
        self.workers: list[str] = started["workers"]

    def actors(self) -> dict[str, dict[str, str]]:
        """Class name by process id, by node id."""
        return dict(self._ask("actors"))

    def replicas(self) -> list[int]:
        """The processes of the target's replicas."""
        return [
            int(pid)
            for actors in self.actors().values()
            for pid, name in actors.items()
            if "builtin-target" in name
        ]

    def remove(self, node: str) -> None:
        self._ask(f"remove {node}")

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the cluster ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def three_nodes() -> Iterator[Nodes]:
    place = tempfile.mkdtemp(prefix="ray-")  # short: the paths of Ray's sockets have a limit
    environment = {**os.environ, **HURRIED, "RAY_TMPDIR": place, "RAY_AUTH_MODE": "disabled"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("three_nodes.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    try:
        yield Nodes(process)
    finally:
        process.communicate(timeout=60)
        shutil.rmtree(place, ignore_errors=True)


def start(file: Path, out: Path, address: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "run", str(file), "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"},
    )


def results(out: Path) -> dict[str, dict[str, Any]]:
    """What must be the same, by trial: all but times, and what was paid."""
    read = {path.stem: json.loads(path.read_text()) for path in (out / "trials").glob("*.json")}
    return {
        trial: {key: value for key, value in result.items() if key not in NOT_THE_SAME}
        for trial, result in read.items()
    }


def until_a_round_ended(run: "subprocess.Popen[str]") -> str:
    said = ""
    assert run.stdout
    for line in run.stdout:
        said += line
        if ": round 0" in line:
            return said
    raise AssertionError(said)


def until(true: Callable[[], bool], limit_s: float = 60.0) -> None:
    ends_at = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < ends_at
        time.sleep(0.1)


def spread(nodes: Nodes) -> bool:
    """Whether both workers have a replica of the target and a trial."""
    actors = nodes.actors()
    return all(
        any("builtin-target" in name for name in actors.get(worker, {}).values())
        and any(name.endswith("ImplicitFunc") for name in actors.get(worker, {}).values())
        for worker in nodes.workers
    )


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_replicas_follow_the_load_and_neither_a_dead_one_nor_a_lost_node_changes_a_result(
    tmp_path: Path,
) -> None:
    file = tmp_path / "spread.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    with three_nodes() as nodes:
        undisturbed = start(file, tmp_path / "undisturbed", nodes.address)
        seen = [0]
        while undisturbed.poll() is None and seen[-1] < 2:
            seen.append(len(nodes.replicas()))
            time.sleep(0.1)
        said, _ = undisturbed.communicate(timeout=200)
        assert undisturbed.returncode == 0, said
        assert sorted(set(seen)) == [0, 1, 2], "the load of four trials asks for a second replica"
        until(lambda: len(nodes.replicas()) == 1)

        disturbed = start(file, tmp_path / "disturbed", nodes.address)
        said = until_a_round_ended(disturbed)
        until(lambda: spread(nodes))
        assert not any(
            "LedgerActor" in nodes.actors()[worker].values() for worker in nodes.workers
        ), "its folder is the driver's"
        victim = nodes.replicas()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in nodes.replicas())
        nodes.remove(nodes.workers[0])
        assert disturbed.poll() is None
        rest, _ = disturbed.communicate(timeout=200)
        assert disturbed.returncode == 0, said + rest
    for result in results(tmp_path / "undisturbed").values():
        assert result["status"] == "finished"
        assert not any(
            verdicts.get("missing") for verdicts in result["verdicts_by_purpose"].values()
        ), "no call failed"
    assert len(results(tmp_path / "disturbed")) == 4
    assert results(tmp_path / "disturbed") == results(tmp_path / "undisturbed")
