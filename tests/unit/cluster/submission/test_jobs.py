"""What the job commands say where there is no cluster, or another one than they hoped for."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from cluster.submission.jobs import Jobs, id_of
from optimizer.errors import AccessError, EndpointError


@contextmanager
def dashboard(status: int, body: bytes) -> Iterator[str]:
    """A server that answers every question in the same way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def nowhere() -> str:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def test_no_cluster_at_the_address(nowhere: str) -> None:
    with pytest.raises(
        EndpointError,
        match=f"No Ray cluster answers at {nowhere}; name its dashboard with --address",
    ):
        Jobs(nowhere)


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>hello</html>"), (200, b"{}"), (404, b"what?"), (500, b"")]
)
def test_something_else_at_the_address(status: int, body: bytes) -> None:
    with (
        dashboard(status, body) as address,
        pytest.raises(EndpointError, match="No Ray cluster answers"),
    ):
        Jobs(address)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token(status: int) -> None:
    with (
        dashboard(status, b"no") as address,
        pytest.raises(AccessError, match="refuses the Ray token"),
    ):
        Jobs(address)


def test_the_option_stands_above_the_environment(
    nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", nowhere)
    with dashboard(200, b'{"ray_version": "2.60.0"}') as address:
        assert Jobs(address).address == address
    assert os.environ["RAY_API_SERVER_ADDRESS"] == nowhere
    with pytest.raises(EndpointError, match=nowhere):
        Jobs()


@pytest.mark.parametrize("name", ["quick start", "promptray-quick-start", "quick-start"])
def test_a_job_is_known_by_the_experiments_name_or_its_own(name: str) -> None:
    assert id_of(name) == "promptray-quick-start"
