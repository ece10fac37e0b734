"""An OpenAI-compatible endpoint that counts how often it was asked each thing.

It answers the number of words of the last message, rightly where the system message says GOOD.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from serving.clients.probe import PROBE

GOOD = "Count well."


class CountingEndpoint:
    """What was asked, by the messages."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.asked: Counter[str] = Counter()
        self.base_url = ""
        self.fault = ""
        """A reason to answer nothing but errors."""

    @property
    def repeats(self) -> int:
        """Calls that were made before."""
        return self.asked.total() - len(self.asked)

    async def answer(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
        if user != PROBE.messages[0].content:
            self.asked[json.dumps(body["messages"])] += 1
        await asyncio.sleep(self.delay_s)
        if self.fault:
            return web.json_response({"error": {"message": self.fault}}, status=400)
        said = f"Answer: {len(user.split()) + (GOOD not in system)}"
        return web.json_response(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": said},
                    }
                ],
                "usage": {
                    "prompt_tokens": len(user.split()),
                    "completion_tokens": 2,
                    "total_tokens": len(user.split()) + 2,
                },
            }
        )


@contextmanager
def counting_endpoint(delay_s: float = 0.0) -> Iterator[CountingEndpoint]:
    """Serve an endpoint in a thread."""
    endpoint, loop = CountingEndpoint(delay_s), asyncio.new_event_loop()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", endpoint.answer)
    runner = web.AppRunner(app)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        endpoint.base_url = f"http://127.0.0.1:{port}/v1"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
