"""Who stands on the gateway's port and sends callers elsewhere is not followed."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from optimizer.errors import EndpointError
from serving.gateway.deployment import _expect_open


class Elsewhere(BaseHTTPRequestHandler):
    """The first question is sent to /inside, which would answer it."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200 if self.path == "/inside" else 307)
        self.send_header("Location", "/inside")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def other() -> Iterator[HTTPServer]:
    Elsewhere.asked = []
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def test_a_redirect_is_no_gateway(other: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(EndpointError, match="The gateway does not answer"):
        _expect_open("127.0.0.1", other.server_address[1])
    assert Elsewhere.asked == ["/healthz"]
