"""How an endpoint can fail a call: each way is a function that answers one request badly.

Knows HTTP, and nothing of models.

None of these answers is one that a caller may believe: a call that met one has to be made again.
Only the slow drip ends well, for callers that wait for it.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from aiohttp import web

DRIP_S = 2.5
"""What a drip takes in all; its pauses are much shorter, so that a limit on each of them sees
nothing.
"""
DRIPS = 25
Reply = dict[str, Any]
Fault = Callable[[web.Request, Reply], Awaitable[web.StreamResponse]]


def fault_of(seed: int, share: float, request: str, attempt: int) -> str:
    """The name of the fault of this call, "" for none.

    The same for the same seed, request and number of its attempt (from 1).
    """
    rng = Random(f"{seed} {attempt} {request}")
    return rng.choice(sorted(FAULTS)) if rng.random() < share else ""


async def _busy(request: web.Request, reply: Reply) -> web.StreamResponse:
    return _refused(429, "Too many requests.")


async def _busy_for_a_second(request: web.Request, reply: Reply) -> web.StreamResponse:
    return _refused(429, "Too many requests.", {"Retry-After": "1"})


async def _broken(request: web.Request, reply: Reply) -> web.StreamResponse:
    return _refused(500, "It went wrong.")


async def _overloaded(request: web.Request, reply: Reply) -> web.StreamResponse:
    return _refused(503, "It is overloaded.")


async def _silent(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Never answers: the caller has to leave."""
    while is_there(request):
        await asyncio.sleep(0.05)
    return to_nobody()


async def _reset(request: web.Request, reply: Reply) -> web.StreamResponse:
    """The connection is reset in the middle of the body."""
    answer = await _half(request, reply)
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # a reset, in place of an end
        request.transport.abort()
    return answer


async def _cut(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Half of the body that was announced, and then the connection's orderly end."""
    answer = await _half(request, reply)
    if request.transport is not None:
        request.transport.close()
    return answer


async def _drip(request: web.Request, reply: Reply) -> web.StreamResponse:
    """The whole body, a few bytes at a time."""
    data = json.dumps(reply).encode()
    answer = await _begun(request, data)
    step = -(-len(data) // DRIPS)
    for at in range(0, len(data), step):
        await asyncio.sleep(DRIP_S / DRIPS)
        try:
            await answer.write(data[at : at + step])
        except ConnectionResetError:
            break  # the caller has left, as many do
    return answer


async def _malformed(request: web.Request, reply: Reply) -> web.StreamResponse:
    text = json.dumps(reply)
    return web.Response(text=text[: len(text) // 2], content_type="application/json")


async def _web_page(request: web.Request, reply: Reply) -> web.StreamResponse:
    return web.Response(text="<html><body>Please sign in.</body></html>", content_type="text/html")


async def _no_choices(request: web.Request, reply: Reply) -> web.StreamResponse:
    return web.json_response({**reply, "choices": []})


async def _without_end(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Half of the text, which does not say why it ends: taken for an answer, it would change the
    result.
    """
    choice = reply["choices"][0]
    text = choice["message"]["content"]
    return web.json_response(
        {
            **reply,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text[: len(text) // 2]},
                    "finish_reason": None,
                }
            ],
        }
    )


FAULTS: dict[str, Fault] = {
    "429": _busy,
    "429 with Retry-After": _busy_for_a_second,
    "500": _broken,
    "503": _overloaded,
    "no answer": _silent,
    "reset in the body": _reset,
    "body cut": _cut,
    "slow drip": _drip,
    "malformed JSON": _malformed,
    "a web page": _web_page,
    "no choices": _no_choices,
    "no finish_reason": _without_end,
}
ENDS_WELL = frozenset({"", "slow drip"})


def is_there(request: web.Request) -> bool:
    """Is the caller still connected?"""
    return request.transport is not None and not request.transport.is_closing()


def to_nobody() -> web.Response:
    """What the server is given for a caller who has left; it is not sent."""
    return web.Response(status=499)


def _refused(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"error": {"message": message, "code": "", "type": "x"}}, status=status, headers=headers
    )


async def _begun(request: web.Request, data: bytes) -> web.StreamResponse:
    answer = web.StreamResponse(
        headers={"Content-Type": "application/json", "Content-Length": str(len(data))}
    )
    await answer.prepare(request)
    return answer


async def _half(request: web.Request, reply: Reply) -> web.StreamResponse:
    data = json.dumps(reply).encode()
    answer = await _begun(request, data)
    await answer.write(data[: len(data) // 2])
    return answer
