"""What another site's page can make a browser send, and what our own page and programs send; for
every HTTP server of ours.

`HOST` stands for the name and port that the server was reached by.
"""

import asyncio
import itertools
import json
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message

HOST = "127.0.0.1:8123"
EVIL = "http://evil.example"
Headers = tuple[tuple[str, str], ...]
OWN_NAMES = (
    HOST,
    "127.0.0.1",
    "localhost",
    "localhost:1",
    "LOCALHOST:8123",
    "localhost.",
    "localhost.:8123",
    "[::1]:8123",
    "[::1]",
    "[0:0:0:0:0:0:0:1]:8123",
    "[::ffff:127.0.0.1]:8123",
    "127.8.9.10:8123",
)
"""By which this machine's own callers come, wherever the port is passed on from."""
FOREIGN_NAMES: tuple[str | None, ...] = (
    None,
    "",
    "evil.example",
    "evil.example:8123",
    "EVIL.example.",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "127.0.0.1:8123@evil.example",
    "evil.example#127.0.0.1",
    "127.0.0.1:99999",
    "127.0.0.1:x",
    "127.0.0.1 evil.example",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0.0.0.0:8123",
    "[::]:8123",
    "[::1",
    "::1",
    "x-localhost",
    "[evil.example]",
    "192.168.1.7:8123",
    "localhost,evil",
    "http://localhost",
    "localhost/",
    "x" * 300,
)
"""With a name that its owner has pointed at this machine, and what is no name at all."""


def named(host: str | None, *more: tuple[str, str]) -> Headers:
    return (() if host is None else (("host", host),)) + more


LOCALLY = named(HOST)
FOREIGN_PAGES: tuple[Headers, ...] = tuple(
    named(HOST, *more)
    for more in (
        (("origin", EVIL),),
        (("origin", "null"),),
        (("origin", ""),),
        (("origin", "http://localhost:3000"),),
        (("origin", "http://127.0.0.1:3000"),),
        (("origin", f"https://{HOST}"), ("sec-fetch-site", "cross-site")),
        (("origin", f"http://{HOST}.evil.example"),),
        (("origin", f"file://{HOST}"),),
        (("origin", f"http://{HOST}"), ("origin", EVIL)),
        (("sec-fetch-site", "cross-site"),),
        (("sec-fetch-site", "same-site"),),
        (("sec-fetch-site", "SAME-SITE"),),
        (("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")),
        (("sec-fetch-site", "unheard"),),
        (("origin", f"http://{HOST}"), ("sec-fetch-site", "cross-site")),
    )
)
"""Requests of another site's page to our own name: by a form, an image, a script, a frame without
an origin.
"""
OWN: tuple[Headers, ...] = (
    *(named(host) for host in OWN_NAMES),
    named(HOST, ("sec-fetch-site", "none")),
    named(HOST, ("origin", f"http://{HOST}"), ("sec-fetch-site", "same-origin")),
    named("localhost", ("origin", "http://localhost")),
    named("LocalHost:80", ("origin", "HTTP://localhost")),
    named("[::1]:8123", ("origin", "http://[::1]:8123")),
)
"""Of programs, of the address bar and of our own page."""
FOREIGN: tuple[Headers, ...] = tuple(
    itertools.chain(
        map(named, FOREIGN_NAMES),
        (
            named(
                "evil.example:8123",
                ("origin", "http://evil.example:8123"),
                ("sec-fetch-site", "same-origin"),
            ),
            (("host", HOST), ("host", "evil.example")),
        ),
        FOREIGN_PAGES,
    )
)
"""All that a service without keys must not carry out."""
NOT_JSON = (
    None,
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "text/plain;application/json",
    "application/octet-stream",
    "application/json, text/plain",
)
"""Of a body; the first four need no permission of the other site."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def code(self) -> str:
        return str(json.loads(self.text)["error"]["code"])


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    headers: Headers = LOCALLY,
    body: Any = None,
    kind: str | None = "application/json",
) -> Answer:
    """The application's answer, with no server between that would look at the headers itself.

    `kind`: what a body calls itself.
    """
    content = (
        b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    )
    described = [("content-length", str(len(content)))] if content else []
    if content and kind is not None:
        described.append(("content-type", kind))
    scope = scope_of("http", path, (*headers, *described)) | {"method": method, "scheme": "http"}
    sent: list[Message] = []
    bodies = iter([{"type": "http.request", "body": content, "more_body": False}])

    async def receive() -> Message:
        return next(bodies, None) or await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    text = b"".join(message.get("body", b"") for message in sent).decode()
    return Answer(
        sent[0]["status"],
        {name.decode(): value.decode() for name, value in sent[0]["headers"]},
        text,
    )


async def websocket(app: ASGIApp, path: str, headers: Headers) -> list[Message]:
    """What the application says to a WebSocket that is being opened."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(
        scope_of("websocket", path, headers) | {"scheme": "ws", "subprotocols": []}, receive, send
    )
    return sent


def scope_of(kind: str, path: str, headers: Headers) -> dict[str, Any]:
    """What a server tells an application of a request, but for its method and scheme."""
    path, _, query = path.partition("?")
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "server": ("127.0.0.1", 8123),
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
