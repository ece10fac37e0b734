"""A real `promptray up` in a process of its own, on a Ray of its own.

Stops only what it has started.
"""

import ipaddress
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.integration.serving.test_gateway_on_serve import free_port

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
STARTS_WITHIN_S = 180.0
ENDS_WITHIN_S = 60.0


class Up:
    """The service of a storage folder; its port stays the same when it is started again."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self._port = free_port()
        self._sockets = Path(
            tempfile.mkdtemp(prefix="ray-", dir="/tmp")
        )  # short: the paths of Ray's sockets have a limit
        self._log = self._sockets / "said.txt"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it says that it is there."""
        others = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        with self._log.open("w") as said:
            self._process = subprocess.Popen(
                [*COMMAND, "up", "--storage", str(self.storage), "--port", str(self._port)],
                cwd=ROOT,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**others, "RAY_TMPDIR": str(self._sockets)},
            )
        ends_at = time.monotonic() + STARTS_WITHIN_S
        while "The service of" not in (said_so_far := self._log.read_text()):
            assert self._process.poll() is None, said_so_far
            assert time.monotonic() < ends_at, said_so_far
            time.sleep(0.2)

    def family(self) -> list[psutil.Process]:
        """It, and all that came from it."""
        assert self._process
        own = psutil.Process(self._process.pid)
        return [own, *own.children(recursive=True)]

    def open_to_others(self) -> dict[int, str]:
        """The ports on addresses that other machines may reach, with the process that listens
        there.
        """
        return {
            one.laddr.port: _title(process)
            for process in self.family()
            for one in _ports(process)
            if one.status == psutil.CONN_LISTEN
            and not ipaddress.ip_address(one.laddr.ip.removeprefix("::ffff:")).is_loopback
        }

    def kill_replicas(self) -> int:
        """Of the gateway and of all models; says how many."""
        found = [one for one in self.family() if _title(one).startswith("ray::ServeReplica:")]
        for replica in found:
            replica.kill()
        return len(found)

    def kill(self) -> None:
        """The whole of it at once, as when a machine loses its power."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=ENDS_WITHIN_S)
        if self._process:
            self._process.wait(ENDS_WITHIN_S)

    def stop(self) -> None:
        assert self._process
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(ENDS_WITHIN_S)

    def remove(self) -> None:
        if self._process and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._sockets, ignore_errors=True)


def _title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return next(iter(process.cmdline()), "")
    return ""


def _ports(process: psutil.Process) -> list[Any]:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return list(process.net_connections(kind="inet"))
    return []


@contextmanager
def up(storage: Path) -> Iterator[Up]:
    """The service, running until the block ends."""
    service = Up(storage)
    try:
        service.start()
        yield service
        service.stop()
    finally:
        service.remove()
