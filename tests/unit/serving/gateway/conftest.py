"""A gateway on this machine, and a plain HTTP client for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import uvicorn

from optimizer.protocols import LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Outcome, Request
from serving.gateway.api_keys import Keys
from serving.gateway.app import build_app
from serving.gateway.settings import GatewaySettings
from tests.contracts.http_server import LOOK_EVERY_S, PromptServer

KEY = "the-right-key"


def script(request: Request) -> Outcome:
    """Shows what the model was asked; `refuse` and `fail` are fates."""
    text = request.messages[-1].content
    fates = {"refuse": Failed("refused", "Too long."), "fail": Failed("infrastructure", "Down.")}
    shown = f"{request.sampling.temperature} {request.sampling.max_tokens} {request.sample} {text}"
    return fates.get(text, Completion(shown, "cut" in text, 3, 2, metadata={"who": "a script"}))


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    json: Any
    text: str

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


@dataclass(frozen=True)
class Gateway:
    """A gateway that is open."""

    address: str

    async def ask(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        method: str | None = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        json_said = {} if data is None else {"Content-Type": "application/json"}
        sent = {
            **({"Authorization": f"Bearer {key}"} if key is not None else {}),
            **json_said,
            **(headers or {}),
        }
        verb = method or ("GET" if body is None and data is None else "POST")
        how: dict[str, Any] = (
            {"data": data} if data is not None else {"json": body} if verb == "POST" else {}
        )
        async with (
            aiohttp.ClientSession() as session,
            session.request(verb, self.address + path, headers=sent, **how) as reply,
        ):
            text = await reply.text()
            json = await reply.json() if reply.content_type == "application/json" else None
            return Reply(reply.status, dict(reply.headers), json, text)

    async def chat(self, text: str = "hello", **fields: Any) -> Reply:
        key = fields.pop("key", None)
        body = {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}
        return await self.ask("/v1/chat/completions", body, key=key)

    async def complete(self, prompt: Any = "hello", **fields: Any) -> Reply:
        return await self.ask("/v1/completions", {"model": "echo", "prompt": prompt, **fields})

    async def metrics(self, key: str | None = None) -> str:
        return (await self.ask("/metrics", key=key)).text


OpenGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def open_gateway() -> AsyncIterator[OpenGateway]:
    """Opens gateways to one model, called echo; they are closed with the test."""
    running: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def start(model: LanguageModel | None = None, *keys: str, **settings: Any) -> Gateway:
        app = build_app(
            {"echo": model or ScriptedModel(script)}, GatewaySettings(**settings), Keys(keys)
        )
        server = PromptServer(
            uvicorn.Config(
                app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"
            )
        )
        running.append((server, asyncio.create_task(server.serve())))
        while not server.started:
            await asyncio.sleep(LOOK_EVERY_S)
        return Gateway(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")

    yield start
    for server, task in running:
        server.should_exit = server.force_exit = (
            True  # a request that hangs is the test's to complain of
        )
        await task


@pytest.fixture
async def gateway(open_gateway: OpenGateway) -> Gateway:
    """Yield a gateway without keys to the scripted model."""
    return await open_gateway()
