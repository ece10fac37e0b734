"""Whether a gateway that was opened answers: its proxy may listen only a moment later."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import URLError

import pytest

from serving.gateway import deployment


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def listening_later(port: int, after_s: float) -> Iterator[None]:
    over = threading.Event()

    def listen() -> None:
        time.sleep(after_s)
        with HTTPServer(("127.0.0.1", port), Healthy) as server:
            server.timeout = 0.05
            while not over.is_set():
                server.handle_request()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_proxy_that_listens_a_moment_later_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "LOOK_EVERY_S", 0.02)
    port = free_port()
    with listening_later(port, 0.2):
        assert b"ok" in deployment._answer(f"http://127.0.0.1:{port}/healthz")


def test_one_that_never_listens_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(deployment, "LISTENS_WITHIN_S", 0.1)
    with pytest.raises(URLError):
        deployment._answer(f"http://127.0.0.1:{free_port()}/healthz")
