"""Removes the service's paths from every answer: an ASGI middleware.

Error messages name a file by its whole path, which helps the operator who reads them in a log. A
client gets the path within the storage, and of the operator's other files only the name. Knows
paths of files, and no route.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.service.core.settings import ServiceSettings
from serving.storage import open_folder

_TEXTS = ("application/json", "text/event-stream", "text/html", "text/plain", "text/markdown")


def replacement_by_path(settings: ServiceSettings) -> dict[str, str]:
    """Return path -> what replaces it in answers; longer paths first."""
    storage, _, query = open_folder(settings.storage).absolute().place.partition("?")
    replacements = {storage.rstrip("/"): "", str(Path(gettempdir()) / "promptray-files"): ""}
    if query:
        replacements[f"?{query}"] = ""
    for model in settings.parsed:
        files = [
            value
            for name in type(model).model_fields
            if isinstance(value := getattr(model, name), Path)
        ]
        replacements |= {str(file): file.name for file in files}
    return dict(sorted(replacements.items(), key=lambda pair: -len(pair[0])))


class PathRedaction:
    """The middleware that removes the paths from every answer that is text."""

    def __init__(self, app: ASGIApp, replacement_by_path: Mapping[str, str]) -> None:
        """Wrap an application; see the function `replacement_by_path`."""
        self._app = app
        self._pairs = [
            pair for path, text in replacement_by_path.items() for pair in _pairs(path, text)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and remove the paths from its answer."""
        start: Message | None = None
        is_text = False

        async def send_redacted(message: Message) -> None:
            nonlocal start, is_text
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_text = headers.get("content-type", "").partition(";")[0] in _TEXTS
                if is_text and "content-length" in headers:
                    start = message  # its length may change with its body
                    return
            elif message["type"] == "http.response.body" and is_text:
                message = {**message, "body": self.redacted(message.get("body", b""))}
                if start is not None:
                    headers = MutableHeaders(scope=start)
                    if message.get("more_body", False):
                        del headers["content-length"]
                    # Without a body it answers HEAD, and has the length that GET would have.
                    elif message["body"]:
                        headers["content-length"] = str(len(message["body"]))
                    await send(start)
                    start = None
            await send(message)

        await self._app(scope, receive, send_redacted if scope["type"] == "http" else send)

    def redacted(self, body: bytes) -> bytes:
        """Return a text without the paths.

        A path that a stream cuts in two is not found; events are sent whole.
        """
        for path, replacement in self._pairs:
            body = body.replace(path, replacement)
        return body


def _pairs(path: str, replacement: str) -> list[tuple[bytes, bytes]]:
    """Return a path and its replacement as bytes, in plain text and in ASCII JSON."""
    forms = dict.fromkeys((path, json.dumps(path)[1:-1]))
    inside = (
        [(f"{form}/".encode(), b"") for form in forms]
        if not replacement and not path.startswith("?")
        else []
    )
    return [
        *inside,
        *(
            (
                form.encode(),
                (replacement or ("" if path.startswith("?") else "the storage")).encode(),
            )
            for form in forms
        ),
    ]
