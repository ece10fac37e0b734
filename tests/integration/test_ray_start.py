"""What lies below us is told in one sentence, and soon: a cluster that is gone, a Ray that is late
or dies, a taken port.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from cluster.ray_runtime import start
from cluster.ray_runtime.ports import expect_free
from cluster.ray_runtime.start import (
    LEAVE_S,
    START_S,
    Watch,
    _in_one_sentence,
    _OurCode,
    cluster_address,
    join,
)
from optimizer.errors import EndpointError, PromptrayError, SettingsError, StorageError
from serving.gateway.deployment import listen
from serving.gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8265",
        "https://ray.example",
        "nonsense",
        "127.0.0.1:",
        ":6379",
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "a:b:c",
    ],
)
def test_an_address_that_is_no_clusters_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(SettingsError, match="RAY_ADDRESS"):
        cluster_address()


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("", None),
        (" ", None),
        ("local", None),
        ("auto", "auto"),
        ("10.0.0.1:6379", "10.0.0.1:6379"),
        ("[::1]:6379", "[::1]:6379"),
        ("ray://head:10001", "ray://head:10001"),
    ],
)
def test_an_address_of_a_cluster_is_taken(
    address: str, taken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert cluster_address() == taken


def closed_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


@pytest.fixture
def web_server() -> Iterator[int]:
    """The port of a server that is no Ray."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_is_gone_is_told_at_once(scheme: str) -> None:
    began = time.monotonic()
    with pytest.raises(EndpointError, match=r"No Ray cluster answers at .*RAY_ADDRESS"):
        join(f"{scheme}127.0.0.1:{closed_port()}")
    assert time.monotonic() - began < 20


@pytest.mark.process
def test_what_is_no_ray_is_told_within_bounds(web_server: int) -> None:
    """In a process of its own: the client of Ray that waits for it stays behind in it."""
    program = (
        "from cluster.ray_runtime import start; start.PROBE_S = 0.5\n"
        f"try: start.join('127.0.0.1:{web_server}')\n"
        "except Exception as problem: print(type(problem).__name__, problem, flush=True)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert re.match(r"EndpointError What answers at .* is no Ray cluster", ended.stdout)


@pytest.mark.parametrize(
    ("problem", "kind", "says"),
    [
        (
            OSError(
                "validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes: /x"
            ),
            StorageError,
            "RAY_TMPDIR",
        ),
        (
            PermissionError(13, "Permission denied", "/home/.ray"),
            StorageError,
            "/home/.ray cannot be used",
        ),
        (
            Exception("The current node timed out during startup.\nThis could happen"),
            EndpointError,
            "has less to do",
        ),
        (RuntimeError("Version mismatch"), EndpointError, "Version mismatch"),
    ],
)
def test_what_ray_raises_at_a_start_is_one_sentence(
    problem: Exception, kind: type[Exception], says: str
) -> None:
    with (
        pytest.raises(kind, match=says) as caught,
        _in_one_sentence("Ray cannot be started", "repair it."),
    ):
        raise problem
    assert "\n" not in str(caught.value)


def test_workers_find_our_packages_and_not_the_users_folder() -> None:
    config = _OurCode()
    config._py_driver_sys_path.append("/where/the/command/was/started")  # as Ray does
    config._serialize()
    assert config._py_driver_sys_path == [str(ROOT)]


def watched(work: Callable[[], None], leave: Callable[[int], object] = os._exit) -> None:
    """Does some work under a watch of a Ray that has started."""
    watch = Watch(leave=leave)
    try:
        with watch.watching():
            watch.started()
            work()
    finally:
        watch.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_start_has_an_end_and_a_running_ray_must_stay() -> None:
    clock = Clock()
    watch = Watch(clock)
    assert watch.look(list) == ""
    assert "raylet has died" in watch.look(lambda: ["raylet"])
    clock.now = START_S + 1
    assert "has not started within" in watch.look(list)
    watch.started()
    assert watch.look(list) == ""
    assert "gcs_server and raylet has died" in watch.look(lambda: ["gcs_server", "raylet"])


def test_a_ray_that_dies_ends_the_work_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "LOOK_EVERY_S", 0.01)
    dead: list[str] = []
    monkeypatch.setattr(start, "dead_processes", lambda: dead)
    before = signal.getsignal(signal.SIGALRM)

    def work() -> None:
        dead.append("raylet")
        time.sleep(20)

    with pytest.raises(EndpointError, match="raylet has died"):
        watched(work)
    assert signal.getsignal(signal.SIGALRM) == before


def test_what_a_dead_ray_raises_is_explained_by_its_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "dead_processes", lambda: ["raylet"])
    monkeypatch.setattr(start, "LOOK_EVERY_S", 60.0)

    def fail() -> None:
        raise RuntimeError("ActorDiedError, in seventy lines")

    with pytest.raises(EndpointError, match="raylet has died"):
        watched(fail)
    monkeypatch.setattr(start, "dead_processes", list)
    monkeypatch.setattr(start, "LOOK_EVERY_S", 0.01)
    with pytest.raises(RuntimeError, match="seventy lines"):
        watched(fail)


def test_a_main_thread_that_stands_in_rays_code_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(start, "LEAVE_S", 0.05)
    monkeypatch.setattr(start, "dead_processes", lambda: ["raylet"])
    left: list[int] = []
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda _, text: written.append(text))

    def stand() -> None:
        try:
            time.sleep(20)
        finally:
            ends_at = time.monotonic() + 20
            while not left and time.monotonic() < ends_at:
                time.sleep(0.01)  # as a call of Ray's that returns to nobody

    with pytest.raises(EndpointError):
        watched(stand, left.append)
    assert left == [1]
    assert b"raylet has died" in written[0]
    assert LEAVE_S < 30


@pytest.mark.parametrize("command", [["serve"], ["up", "--storage", "STORAGE"], ["show", "."]])
def test_a_port_that_is_taken_is_told_before_anything_starts(
    command: list[str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = CliRunner().invoke(
            app,
            [
                *(str(tmp_path) if part == "STORAGE" else part for part in command),
                "--port",
                str(port),
            ],
        )
        with pytest.raises(SettingsError):
            expect_free("localhost", port)
    assert isinstance(ended.exception, PromptrayError)
    assert (
        str(ended.exception)
        == f"The port {port} of 127.0.0.1 is taken by another program; choose another with --port."
    )
    expect_free("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_told() -> None:
    for host in ("203.0.113.1", "nosuch.invalid"):
        with pytest.raises(SettingsError, match="--host"):
            expect_free(host, 8000)


def test_a_serve_that_cannot_listen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster that is joined, whose ports are not this machine's to look at."""

    def broken(**_: object) -> None:
        raise RuntimeError(
            "Traceback (most recent call last):\n"
            + 70 * "  File x\n"
            + "RuntimeError: address already in use"
        )

    monkeypatch.setattr("ray.serve.start", broken)
    application: Any = None
    with pytest.raises(
        EndpointError,
        match=r"cannot listen on 127.0.0.1:8123 \(RuntimeError: address already in use\)",
    ) as caught:
        listen(application, GatewaySettings(port=8123))
    assert "\n" not in str(caught.value)


@pytest.mark.ray
@pytest.mark.slow
def test_a_real_ray_that_dies_ends_the_command_soon() -> None:
    program = (
        "import os, ray, signal, sys, time\n"
        "from cluster.cli import end\n"
        "from cluster.ray_runtime.session import ray_session\n"
        "try:\n"
        "    with ray_session():\n"
        "        (raylet,) = ray._private.worker._global_node.all_processes['raylet']\n"
        "        os.kill(raylet.process.pid, signal.SIGKILL)\n"
        "        print('killed', flush=True)\n"
        "        ray.get(ray.remote(lambda: time.sleep(600)).remote())\n"
        "except ConnectionError as problem: end(str(problem), 1)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env=environment,
    )
    assert "killed" in ended.stdout, ended.stderr
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Ray has ended on this machine" in ended.stderr
    assert time.monotonic() - began < 120
