"""A chat endpoint on a bare socket, so that a test can break off, drip or say nothing at any byte.

Can be stopped, and started again on its port.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Play = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Asked:
    """A request as it came."""

    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes = b""
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has closed the connection before it was answered."""

    @property
    def text(self) -> str:
        return str(self.body["messages"][-1]["content"])


def chat(text: str, finish_reason: str | None = "stop", tokens: int = 3) -> bytes:
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish_reason,
                    "message": {"role": "assistant", "content": text},
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens},
        }
    ).encode()


def http(
    body: bytes,
    status: str = "200 OK",
    kind: str = "application/json",
    length: int | None = -1,
    **headers: str,
) -> bytes:
    """`length`: None for none, -1 for the right one."""
    lines = {"Content-Type": kind, "Connection": "close" if length is None else "keep-alive"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if length is not None:
        lines["Content-Length"] = str(len(body) if length < 0 else length)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class RawEndpoint:
    """`play` decides what is written for a request: a Play, or None for the good answer.

    A Play that returns closes the line.
    """

    def __init__(
        self, play: Callable[[Asked], Play | None] = lambda asked: None, delay_s: float = 0.0
    ) -> None:
        self.play = play
        self.delay_s = delay_s
        self.asked: list[Asked] = []
        self.in_flight = self.peak = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._line, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop as a process that is killed: all connections break at once."""
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._lines.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(headers, json.loads(raw), raw)
        self.asked.append(asked)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        answering = asyncio.ensure_future(self._answer(asked, writer))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                asked.cut.set()
                return False
            return answering.result()
        finally:
            self.in_flight -= 1
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        play = self.play(asked)
        if play:
            await play(writer)
            return False
        await asyncio.sleep(self.delay_s)
        writer.write(http(chat(f"heard {asked.text}")))
        await writer.drain()
        return True
