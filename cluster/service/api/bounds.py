"""How large a body may be and how long it may take, and the headers that every answer carries. Two ASGI middlewares, which know
paths and no handler.
"""

import asyncio

from starlette.datastructures import Headers as Given
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.door.limits import too_large
from serving.door.refusal import Refused

UPLOADS = "/v1/files"
MULTIPART_BYTES = 64 * 2**10
"""What a form is larger than the file in it."""
STRICT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {
    "Content-Security-Policy": STRICT_POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"}
"""Of every answer that does not say otherwise."""


class Bounds:
    """Raises Refused (413, 408) out of the reading of a body that is too large or too slow, whoever reads it."""

    def __init__(self, app: ASGIApp, body_bytes: int, upload_bytes: int, body_timeout_s: float) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._upload_bytes = upload_bytes
        self._timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        upload = scope["path"].removeprefix(scope.get("root_path", "")) == UPLOADS
        most = self._upload_bytes + MULTIPART_BYTES if upload else self._body_bytes
        shown = self._upload_bytes if upload else most
        announced = Given(scope=scope).get("content-length", "")
        ends_at = asyncio.get_running_loop().time() + self._timeout_s * (1 + most // 2**20)
        read, whole = 0, False

        async def bounded() -> Message:
            nonlocal read, whole
            if whole:
                return await receive()  # waits for the caller to go
            if announced.isdecimal() and (len(announced) > 18 or int(announced) > most):
                raise too_large(shown)
            try:
                async with asyncio.timeout_at(ends_at):
                    message = await receive()
            except TimeoutError:
                raise Refused(408, "timeout", "The request's body did not come in time.") from None
            read += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if read > most:
                raise too_large(shown)
            return message

        await self._app(scope, bounded, send)


class SafeHeaders:
    """Puts the headers on every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
