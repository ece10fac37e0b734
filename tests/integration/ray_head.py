"""A Ray head of its own: other ports, another folder, a token.

Ended by its own process group; no other Ray is touched.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SCRIPTS = Path(sys.executable).parent
_OWN_PORTS = (
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
    "--ray-client-server-port",
    "--node-manager-port",
    "--object-manager-port",
)


@dataclass(frozen=True)
class Head:
    address: str
    """Of the dashboard."""
    token: str
    home: Path
    """Of whoever's processes run there."""

    @property
    def client_environment(self) -> dict[str, str]:
        """For a command that talks to this head."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return others | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_API_SERVER_ADDRESS": self.address,
        }


@contextmanager
def ray_head(home: Path) -> Iterator[Head]:
    """`ray start --head` with two CPUs, running until the block ends."""
    head = Head(f"http://127.0.0.1:{_free_port()}", secrets.token_hex(32), home)
    environment = head.client_environment | {
        "HOME": str(home),
        "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRAFANA_HOST": "",
    }
    del environment["RAY_API_SERVER_ADDRESS"]
    # The sockets in it want a short path.
    with (
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder,
        (home / "head.log").open("w") as log,
    ):
        started = subprocess.Popen(
            [
                SCRIPTS / "ray",
                "start",
                "--head",
                "--block",
                "--port",
                str(_free_port()),
                "--num-cpus",
                "2",
                "--temp-dir",
                folder,
                "--include-dashboard",
                "true",
                "--dashboard-host",
                "127.0.0.1",
                "--dashboard-port",
                head.address.rpartition(":")[2],
                "--object-store-memory",
                "100000000",
                "--disable-usage-stats",
                # Ray has fixed numbers for these, which another Ray on this machine may have taken.
                *(word for option in _OWN_PORTS for word in (option, str(_free_port()))),
            ],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home,
        )
        try:
            _wait_until_it_answers(head, started, home / "head.log")
            yield head
        finally:
            _end(started)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_until_it_answers(head: Head, started: subprocess.Popen[bytes], log: Path) -> None:
    port, ends_at = int(head.address.rpartition(":")[2]), time.monotonic() + 120
    while started.poll() is None and time.monotonic() < ends_at:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def _end(started: subprocess.Popen[bytes]) -> None:
    """The head and all that came from it; Ray's workers and jobs make sessions of their own, so
    they are found by parentage.
    """
    own = psutil.Process(started.pid)
    family = [own, *own.children(recursive=True)]
    os.killpg(started.pid, signal.SIGTERM)
    psutil.wait_procs(
        [own], timeout=5
    )  # it ends its own; of those that made sessions, it does not know
    alive = [process for process in family if process.is_running()]
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    started.wait(timeout=5)
