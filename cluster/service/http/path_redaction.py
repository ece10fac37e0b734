"""Where a service keeps its things does not leave it: an ASGI middleware through which every answer
goes. Knows paths of files, and no route.

Sentences below say a file by its whole place, which helps the operator who reads them in a log. A
caller is told the place within the storage, and of the operator's other files the name alone.
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


def told_by_place(settings: ServiceSettings) -> dict[str, str]:
    """Return place -> what is told in its stead; longer places first."""
    storage, _, query = open_folder(settings.storage).absolute().place.partition("?")
    places = {storage.rstrip("/"): "", str(Path(gettempdir()) / "promptray-files"): ""}
    if query:
        places[f"?{query}"] = ""
    for model in settings.parsed:
        files = [
            value
            for name in type(model).model_fields
            if isinstance(value := getattr(model, name), Path)
        ]
        places |= {str(file): file.name for file in files}
    return dict(sorted(places.items(), key=lambda pair: -len(pair[0])))


class Discreet:
    """Takes the places out of every answer that is text. `told_by_place` as above."""

    def __init__(self, app: ASGIApp, told_by_place: Mapping[str, str]) -> None:
        self._app = app
        self._pairs = [
            pair for place, told in told_by_place.items() for pair in _pairs(place, told)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None
        is_text = False

        async def discreetly(message: Message) -> None:
            nonlocal start, is_text
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_text = headers.get("content-type", "").partition(";")[0] in _TEXTS
                if is_text and "content-length" in headers:
                    start = message  # its length may change with its body
                    return
            elif message["type"] == "http.response.body" and is_text:
                message = {**message, "body": self.told(message.get("body", b""))}
                if start is not None:
                    headers = MutableHeaders(scope=start)
                    if message.get("more_body", False):
                        del headers["content-length"]
                    elif message[
                        "body"
                    ]:  # else it answers HEAD, and tells the length that GET would have
                        headers["content-length"] = str(len(message["body"]))
                    await send(start)
                    start = None
            await send(message)

        await self._app(scope, receive, discreetly if scope["type"] == "http" else send)

    def told(self, body: bytes) -> bytes:
        """Return the text without the places.

        One that a stream cuts in two is not seen: events come whole.
        """
        for place, told in self._pairs:
            body = body.replace(place, told)
        return body


def _pairs(place: str, told: str) -> list[tuple[bytes, bytes]]:
    """As it stands in plain text, and in JSON of ASCII."""
    forms = dict.fromkeys((place, json.dumps(place)[1:-1]))
    inside = (
        [(f"{form}/".encode(), b"") for form in forms]
        if not told and not place.startswith("?")
        else []
    )
    return [
        *inside,
        *(
            (form.encode(), (told or ("" if place.startswith("?") else "the storage")).encode())
            for form in forms
        ),
    ]
