"""An OpenAI-compatible endpoint that counts: the toy's two models on a loopback port, in a thread
of the tests' own process.

A reply depends on the request alone. Every call is kept, with when it came and whether its whole
reply went out to a caller who was still there: that is a call that was paid for. A share of the
calls can be made to fail (faults.py). Knows no ledger and no Ray.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from optimizer.types import Message, Request, Sampling
from serving.clients.probe import PROBE
from tests.contracts.toy import author, target
from tests.e2e.chaos.faults import ENDS_WELL, FAULTS, fault_of, is_there, to_nobody

MODELS = {"toy-target": target, "toy-author": author}
_ENDING_S = 1.0


@dataclass
class Call:
    """One call, as it was seen from here. Times are of time.monotonic."""

    model: str
    request: Request
    fault: str
    came_at: float
    answered_at: float | None = None
    """When the whole reply had been sent to a caller who was there; None where it was not."""

    @property
    def is_probe(self) -> bool:
        """Does it only ask whether the model is there? Such calls are in no ledger."""
        return self.request.messages[-1] == PROBE.messages[-1]


@dataclass
class Endpoint:
    """What the thread has seen, and how it is to behave; both may be looked at and changed while it
    runs.
    """

    base_url: str = ""
    latency_s: float = 0.0
    fault_share: float = 0.0
    seed: int = 0
    """Of the faults."""
    calls: list[Call] = field(default_factory=list)
    """In the order in which they came."""

    def __post_init__(self) -> None:
        self._attempts: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def tasks(self) -> int:
        """Of the endpoint's event loop, at this moment: connections and calls."""
        return len(asyncio.all_tasks(self._loop)) if self._loop else 0

    def settings(self, model: str, **more: Any) -> dict[str, Any]:
        """One of MODELS, as it stands in an experiment's settings."""
        return {"kind": "openai", "model": model, "base_url": self.base_url, **more}

    def forget(self) -> None:
        """Of all calls and attempts, before another run."""
        self.calls = []
        self._attempts = Counter()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """The route /v1/chat/completions."""
        body = await request.json()
        text = text_of(body)
        self._attempts[text] += 1
        fault = fault_of(self.seed, self.fault_share, text, self._attempts[text])
        call = Call(body["model"], request_of(body), fault, time.monotonic())
        self.calls.append(call)
        await asyncio.sleep(self.latency_s)
        if not is_there(request):
            return to_nobody()
        reply = _reply(MODELS[call.model](call.request), call)
        answer = await (FAULTS[fault](request, reply) if fault else _plain(request, reply))
        if (
            fault in ENDS_WELL
        ):  # a caller who had left would have been noticed in sending; who leaves now has it all
            call.answered_at = time.monotonic()
        return answer


def text_of(body: dict[str, Any]) -> str:
    """The same for the same request."""
    return json.dumps(body, sort_keys=True)


def request_of(body: dict[str, Any]) -> Request:
    """What a client has made this body of."""
    messages = tuple(Message(message["role"], message["content"]) for message in body["messages"])
    return Request(messages, Sampling(body["temperature"], body["max_tokens"]), body.get("seed", 0))


@contextmanager
def endpoint(**behaviour: Any) -> Iterator[Endpoint]:
    """An endpoint that answers until the block ends."""
    served = Endpoint(**behaviour)
    ready, over = threading.Event(), asyncio.Event()
    loop = served._loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/chat/completions", served.chat)
        worker = web.AppRunner(app, shutdown_timeout=_ENDING_S, access_log=None)
        await worker.setup()
        await web.TCPSite(worker, "127.0.0.1", 0).start()
        served.base_url = f"http://127.0.0.1:{worker.addresses[0][1]}/v1"
        ready.set()
        await over.wait()
        await worker.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="endpoint")
    thread.start()
    ready.wait()
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


async def _plain(request: web.Request, reply: dict[str, Any]) -> web.StreamResponse:
    """Sent here, and not by the server afterwards, so that it is known whether it went out."""
    answer = web.json_response(reply)
    await answer.prepare(request)
    await answer.write_eof()
    return answer


def _reply(text: str, call: Call) -> dict[str, Any]:
    asked = sum(len(message.content.split()) for message in call.request.messages)
    said = len(text.split())
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": call.model,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        ],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }
