"""How a request's body comes in: how large it may be, how long it may take, and that it is what it
seems. Knows ASGI, no handler.

A body is read before its request takes a place, so that whoever sends slowly keeps nobody waiting;
but for uploads, which go to disk as they come and have places of their own.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from serving.gateway.errors import Refused
from serving.gateway.limits import announced_beyond, bounded, too_large

MULTIPART_BYTES = 64 * 2**10
"""What a form is larger than the file in it."""
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class BodyLimits:
    """Of one request's body."""

    most_bytes: int
    timeout_s: float

    @property
    def upload_timeout_s(self) -> float:
        """A large body may take longer, but not for ever."""
        return self.timeout_s * (1 + self.most_bytes // 2**20)


def expect_plain(scope: Scope) -> None:
    """Raise Refused (415) for a body that would have to be unpacked: a few kB can mean
    gigabytes.
    """
    packed = Headers(scope=scope).get("content-encoding", "").strip().lower()
    if packed not in ("", "identity"):
        raise Refused(
            415,
            "unsupported_encoding",
            "The body is compressed: send it as it is, without Content-Encoding.",
        )


async def arrived(scope: Scope, receive: Receive, limits: BodyLimits) -> Receive:
    """Read the whole body, and return what gives it again.

    Raises Refused (413, 408), ClientDisconnect.
    """
    if scope["method"] in _WITHOUT_BODY:
        return receive
    try:
        async with asyncio.timeout(limits.timeout_s):
            body = await bounded(
                Headers(scope=scope).get("content-length"), _chunks(receive), limits.most_bytes
            )
    except TimeoutError:
        raise _too_late(limits.timeout_s) from None
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()  # waits for the caller to go
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def as_it_comes(scope: Scope, receive: Receive, limits: BodyLimits) -> Receive:
    """What gives an upload's body piece by piece.

    Raises Refused (413, 408) out of the reading, whoever reads it.
    """
    announced = Headers(scope=scope).get("content-length")
    most = limits.most_bytes + MULTIPART_BYTES
    ends_at = asyncio.get_running_loop().time() + limits.upload_timeout_s
    read, whole = 0, False

    async def next_piece() -> Message:
        nonlocal read, whole
        if whole:
            return await receive()  # waits for the caller to go
        if announced_beyond(announced, most):
            raise too_large(limits.most_bytes)
        try:
            async with asyncio.timeout_at(ends_at):
                message = await receive()
        except TimeoutError:
            raise _too_late(limits.upload_timeout_s) from None
        read += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if read > most:
            raise too_large(limits.most_bytes)
        return message

    return next_piece


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _too_late(timeout_s: float) -> Refused:
    return Refused(408, "timeout", f"The request's body did not come within {timeout_s:g} s.")
