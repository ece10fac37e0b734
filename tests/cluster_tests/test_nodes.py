"""An experiment on three nodes: its trials and replicas spread, and a worker node that is taken away in mid-run changes nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
SETTINGS = {
    "tasks": ["navigate"],
    "target": {"kind": "builtin", "name": "target", "gpus": 1, "replicas": 2},
    "strategies": [
        {"name": "abo", "settings": {"rounds": 1, "decompositions": 2, "minibatch": 8, "children": 2}},
        {"name": "iterative_ape", "settings": {"rounds": 6, "pool": 4}}],
    "seeds": [0, 1],
    "sizes": {"train": 16, "dev": 16, "test": 20},
    "budget": {"target_calls": 1500, "optimizer_calls": 200},
    "concurrency": 4,
}
SAME = ("status", "best", "rounds", "test_accuracy", "dev_accuracy", "target_calls", "optimizer_calls", "verdict")


class Nodes:
    """The cluster that three_nodes.py keeps."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        started = self._answer()
        self.address: str = started["address"]
        self.workers: list[str] = started["workers"]

    def actors(self) -> dict[str, list[str]]:
        """Class names by node id."""
        return dict(self._ask("actors"))

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
    environment = {**os.environ, "RAY_TMPDIR": place, "RAY_AUTH_MODE": "disabled"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("three_nodes.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment, cwd=ROOT)
    try:
        yield Nodes(process)
    finally:
        process.communicate(timeout=60)
        shutil.rmtree(place, ignore_errors=True)


def start(file: Path, out: Path, address: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "run", str(file), "--out", str(out)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"})


def results(out: Path) -> dict[str, dict[str, Any]]:
    """What must be the same, by trial."""
    read = {path.stem: json.loads(path.read_text()) for path in (out / "trials").glob("*.json")}
    return {trial: {key: result[key] for key in SAME} for trial, result in read.items()}


def until_a_round_ended(run: "subprocess.Popen[str]") -> str:
    said = ""
    assert run.stdout
    for line in run.stdout:
        said += line
        if ": round 0" in line:
            return said
    raise AssertionError(said)


def spread(nodes: Nodes) -> bool:
    """Whether both workers have, or soon get, a replica of a model and a trial: trials start one after the other."""
    for _ in range(40):
        actors = nodes.actors()
        if all(
            any(name.startswith("ServeReplica") for name in actors.get(worker, []))
            and any(name.endswith("ImplicitFunc") for name in actors.get(worker, [])) for worker in nodes.workers
        ):
            return True
        time.sleep(0.5)
    return False


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_lost_worker_node_changes_no_result(tmp_path: Path) -> None:
    file = tmp_path / "spread.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    with three_nodes() as nodes:
        undisturbed = start(file, tmp_path / "undisturbed", nodes.address)
        said, _ = undisturbed.communicate(timeout=200)
        assert undisturbed.returncode == 0, said

        disturbed = start(file, tmp_path / "disturbed", nodes.address)
        said = until_a_round_ended(disturbed)
        assert spread(nodes), nodes.actors()
        assert not any("LedgerActor" in nodes.actors()[worker] for worker in nodes.workers), "its folder is on the driver's node"
        nodes.remove(nodes.workers[0])
        rest, _ = disturbed.communicate(timeout=200)
        assert disturbed.returncode == 0, said + rest
    assert len(results(tmp_path / "disturbed")) == 4
    assert results(tmp_path / "disturbed") == results(tmp_path / "undisturbed")
