"""The small experiments that are disturbed, and how the real command runs one. Knows no victim.

Three kinds: both models at the counting endpoint; the target there and the built-in optimizer in a
replica; both built in. The strategies are twins, which ask for the same things at the same time, so
that claims are always in question.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.contracts.toy import AWKWARD, examples
from tests.e2e.chaos.endpoint import Endpoint

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
APO = {
    "rounds": 2,
    "beam": 2,
    "minibatch": 8,
    "error_groups": 2,
    "paraphrases": 1,
    "max_children": 4,
}
STRATEGIES = [
    {"name": "apo", "settings": APO},
    {"name": "apo", "label": "twin", "settings": APO},
]
SIZES = {"train": 12, "dev": 12, "test": 12}
ENOUGH = {
    "target_calls": 5000,
    "optimizer_calls": 1000,
    "total": {"target_calls": 4000, "optimizer_calls": 900},
}
"""It bounds nothing, and yet each call goes through the experiment's budget."""
MANY_STARTS = {"attempts": 50}
"""A trial's process may be killed so often."""
HURRIED = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "2",
    "RAY_health_check_initial_delay_ms": "0",
}
"""Ray is to see within seconds that a node is no more."""
FORGETTING = {"RAY_gcs_rpc_server_reconnect_timeout_s": "10"}
"""Ray's agents outlive a killed driver for as long as they try to tell its Ray, which is gone too:
a minute, if nothing is said.
"""
LIMIT_S = 200.0


def write_task(folder: Path) -> str:
    """The toy's sums as a data file; its place."""
    file = folder / "sums.jsonl"
    file.write_text(
        "".join(
            f"{json.dumps({'input': one.input, 'target': one.answers[0]})}\n"
            for one in examples(60, AWKWARD)
        )
    )
    return str(file)


def at_endpoint(folder: Path, served: Endpoint, **more: Any) -> dict[str, Any]:
    """Both models there.

    `more` are settings of both; a few calls at once, so that a run takes its time.
    """
    options = {"max_in_flight": 4, **more}
    return {
        "tasks": [write_task(folder)],
        "strategies": STRATEGIES,
        "sizes": SIZES,
        "budget": ENOUGH,
        "trials": MANY_STARTS,
        "target": served.settings("toy-target", **options),
        "optimizer": served.settings("toy-author", **options),
    }


def mixed(folder: Path, served: Endpoint, **optimizer: Any) -> dict[str, Any]:
    """The target at the endpoint, the optimizer in a replica."""
    return {
        **at_endpoint(folder, served),
        "optimizer": {"kind": "builtin", "name": "optimizer", **optimizer},
    }


def built_in(**models: Any) -> dict[str, Any]:
    """Both models in replicas."""
    return {
        "tasks": ["navigate"],
        "strategies": STRATEGIES,
        "sizes": SIZES,
        "budget": ENOUGH,
        "trials": MANY_STARTS,
        "target": {"kind": "builtin", "name": "target", "threads": 1, "replicas": 2, **models},
        "optimizer": {"kind": "builtin", "name": "optimizer", **models},
    }


def written(settings: Mapping[str, Any], file: Path) -> Path:
    file.write_text(yaml.safe_dump(dict(settings)))
    return file


class Run:
    """`promptray run FILE --out OUT`, or `promptray resume OUT` without a file, in a process of its
    own; on a Ray of its own unless
    `address` names one."""

    def __init__(self, file: Path | None, out: Path, address: str = "") -> None:
        self.out = out
        self.started_at = time.monotonic()
        self.folder = Path(
            tempfile.mkdtemp(prefix="ray-", dir="/tmp")
        )  # short: the paths of Ray's sockets have a limit
        words = ["run", str(file), "--out", str(out)] if file else ["resume", str(out)]
        self._log = self.folder / "said.txt"
        place = (
            {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
            if address
            else {"RAY_TMPDIR": str(self.folder), **FORGETTING}
        )
        others = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *words],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**others, **place},
            )

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    @property
    def said(self) -> str:
        return self._log.read_text()

    def end(self) -> None:
        """Waits for the end, which has to be a good one."""
        code = self.process.wait(LIMIT_S)
        assert code == 0, self.said

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def family(self) -> list[psutil.Process]:
        """All processes that came from it, and itself; none once it is dead."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _clear(self) -> None:
        family = self.family()
        if self.runs:
            self.process.kill()
        self.process.wait()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running(file: Path | None, out: Path, address: str = "") -> Iterator[Run]:
    """The run, of which nothing is left after the block."""
    run = Run(file, out, address)
    try:
        yield run
    finally:
        run._clear()
