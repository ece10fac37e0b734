"""Reading of a request's body: limits on its size and time, and a check of its encoding.

A body is read before its request gets a slot, so that a slow sender delays nobody; but for uploads,
which go to disk as they come and have slots of their own. Knows ASGI, no handler.
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
"""Bytes by which a form may be larger than the file in it."""
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class BodyLimits:
    """Limits of one request's body."""

    most_bytes: int
    timeout_s: float

    @property
    def upload_timeout_s(self) -> float:
        """Return the seconds for an upload: a large body may take longer, but not for ever."""
        return self.timeout_s * (1 + self.most_bytes // 2**20)


def expect_plain(scope: Scope) -> None:
    """Check that a body is not compressed: a few kB could mean gigabytes.

    Raises:
        Refused: 415, if it is.
    """
    packed = Headers(scope=scope).get("content-encoding", "").strip().lower()
    # Never unpacked here, so that the limit on the size means what it says.
    if packed not in ("", "identity"):
        raise Refused(
            415,
            "unsupported_encoding",
            "The body is compressed: send it as it is, without Content-Encoding.",
        )


async def arrived(scope: Scope, receive: Receive, limits: BodyLimits) -> Receive:
    """Read the whole body, and return a receiver that gives it again.

    Raises:
        Refused: 413 if it is too large, 408 if it takes too long.
        ClientDisconnect: If the caller goes away.
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
    """Return a receiver that gives an upload's body piece by piece.

    The reader of the body may get a Refused (413 if it is too large, 408 if it takes too long).
    """
    announced = Headers(scope=scope).get("content-length")
    most = limits.most_bytes + MULTIPART_BYTES
    # One deadline for the whole upload, so that a slow sender cannot renew it piece by piece.
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
