"""The cluster of nodes.py, and how each kind of victim on it is found and killed.

Knows no experiment and keeps no count.

Trials and replicas live on worker nodes of two kinds, so that a node can be taken away with the
trials or without them: workers with CPUs hold the trials, workers with GPUs (which are none: a
number that decides where a replica is placed) hold the replicas.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.e2e.chaos.experiments import HURRIED, ROOT

CLASS_BY_KIND = {"trial": "ImplicitFunc", "replica": "ServeReplica:", "ledger": "LedgerActor"}
"""What the actors' class names hold."""
WORKERS = {"node with trials": (2, 0), "node with replicas": (0, 4)}
"""CPUs and GPUs of each kind."""
AGENT_TITLES = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
AGENT_PROGRAMS = ("dashboard/agent.py", "runtime_env/agent/main.py")
DEATH_S = 30.0
"""In which a killed process has to be gone."""
AGENTS_S = 120.0
"""In which Ray's agents have to follow: they look for their raylet now and then, and a busy machine
has taken more than 30 s.
"""


class Nodes:
    """A head and one worker of each kind."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self.folder = folder
        """Where Ray keeps its sessions."""
        self.address: str = self._answer()["address"]
        self._node_by_kind = {kind: self._added(kind) for kind in WORKERS}

    @property
    def pid(self) -> int:
        """Of the process that all nodes came from."""
        return self._process.pid

    def actors(self) -> list[str]:
        """The class names of those that live."""
        return [name for on_node in self._ask("actors").values() for name in on_node.values()]

    def processes(self, kind: str) -> list[int]:
        """Of the actors of this kind that live."""
        actors: dict[str, dict[str, str]] = self._ask("actors")
        return sorted(
            int(pid)
            for on_node in actors.values()
            for pid, name in on_node.items()
            if CLASS_BY_KIND[kind] in name
        )

    def kill(self, kind: str, rng: Random) -> bool:
        """Kills one of the kind, and returns when it is dead; False where there is none now."""
        return self._kill_node(kind) if kind in WORKERS else self._kill_process(kind, rng)

    def _kill_process(self, kind: str, rng: Random) -> bool:
        found = self.processes(kind)
        if not found:
            return False
        victim = rng.choice(found)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return False
        wait_until(lambda: is_dead(victim), DEATH_S)
        return True

    def _kill_node(self, kind: str) -> bool:
        """The node and all that lives on it; another one takes its place.

        Only where it has work.
        """
        node = self._node_by_kind[kind]
        living = [int(pid) for pid in self._ask("actors").get(node, {})]
        if not living:
            return False
        self._ask(f"remove {node}")
        wait_until(lambda: all(map(is_dead, living)), DEATH_S)
        self._node_by_kind[kind] = self._added(kind)
        return True

    def _added(self, kind: str) -> str:
        cpus, gpus = WORKERS[kind]
        node: str = self._ask(f"add {cpus} {gpus}")["node"]
        return node

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
def nodes(**variables: str) -> Iterator[Nodes]:
    """The cluster, until the block ends. `variables` are Ray's own, for all of its processes."""
    place = tempfile.mkdtemp(
        prefix="ray-", dir="/tmp"
    )  # short: the paths of Ray's sockets have a limit
    environment = {
        **os.environ,
        **HURRIED,
        "RAY_TMPDIR": place,
        "RAY_AUTH_MODE": "disabled",
        **variables,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.chaos.nodes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    try:
        yield Nodes(process, Path(place))
    finally:
        process.communicate(timeout=60)
        shutil.rmtree(place, ignore_errors=True)


def is_dead(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def all_gone(family: Iterable[psutil.Process]) -> bool:
    return not any(process.is_running() and not is_dead(process.pid) for process in family)


def is_agent(process: psutil.Process) -> bool:
    """Is it one of the two that Ray has on every node? They outlive a killed driver for a while,
    and do none of its work.
    """
    try:
        words = process.cmdline()[:3]
        return any(word.startswith(AGENT_TITLES) or word.endswith(AGENT_PROGRAMS) for word in words)
    except psutil.NoSuchProcess:
        return False


def wait_until(true: Callable[[], bool], limit_s: float) -> None:
    ends_at = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < ends_at, "it takes too long"
        time.sleep(0.05)
