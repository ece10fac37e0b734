"""The door without Ray: our own HTTP client behaves through it as any client must; faults come in OpenAI's form."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import uvicorn

from optimizer.errors import AccessError, EndpointError
from optimizer.protocols import LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Outcome, Request
from serving.clients.openai_http import OpenAIModel
from serving.limiter import Retry
from serving.openai_api import MAX_CHARACTERS, build_app
from serving.settings import OpenAISettings
from tests.contracts.client_contract import LanguageModelContract, ask

KEY = "the-right-key"
Open = Callable[..., Awaitable[str]]
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}


def script(request: Request) -> Outcome:
    text = request.messages[-1].content
    fates = {"refuse": Failed("refused", "Too long."), "fail": Failed("infrastructure", "Down.")}
    shown = f"{request.sampling.temperature} {request.sampling.max_tokens} {request.sample} {text}"
    return fates.get(text, Completion(shown, "cut" in text, 3, 2, metadata={"who": "a script"}))


@pytest.fixture
async def open_door() -> AsyncIterator[Open]:
    """Serves models on this machine, and gives the door's address."""
    running: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def start(model: LanguageModel | None = None, api_key: str | None = None) -> str:
        app = build_app({"echo": model or ScriptedModel(script)}, api_key)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"))
        running.append((server, asyncio.create_task(server.serve())))
        while not server.started:
            await asyncio.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server, task in running:
        server.should_exit = True
        await task


async def post(door: str, body: Any, key: str | None = None) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    async with aiohttp.ClientSession() as session, session.post(f"{door}/v1/chat/completions", json=body, headers=headers) as reply:
        return reply.status, await reply.json()


class TestOurClientThroughTheDoor(LanguageModelContract):
    @pytest.fixture
    async def model(self, open_door: Open) -> AsyncIterator[OpenAIModel]:
        client = OpenAIModel(OpenAISettings(model="echo", base_url=f"{await open_door()}/v1"), KEY, Retry(attempts=1))
        yield client
        await client.aclose()

    async def test_nothing_is_lost_on_the_way(self, model: OpenAIModel) -> None:
        outcomes = await model.complete([ask("cut", sample=3, temperature=0.5, max_tokens=9), ask("refuse"), ask("fail")])
        assert outcomes[0] == Completion("0.5 9 3 cut", True, 3, 2)
        assert [outcome.kind for outcome in outcomes[1:] if isinstance(outcome, Failed)] == ["refused", "infrastructure"]


async def test_a_key_is_asked_for_but_not_for_health(open_door: Open) -> None:
    door = await open_door(api_key=KEY)
    statuses = [(await post(door, HELLO, key))[0] for key in (None, "", "wrong", KEY + "x", "kéy", KEY)]
    assert statuses == [401, 401, 401, 401, 401, 200]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{door}/healthz") as reply:
            assert await reply.json() == {"status": "ok"}
        async with session.get(f"{door}/v1/models") as reply:
            assert reply.status == 401


async def test_our_client_says_access_error_for_a_wrong_key(open_door: Open) -> None:
    client = OpenAIModel(OpenAISettings(model="echo", base_url=f"{await open_door(api_key=KEY)}/v1"), "wrong")
    with pytest.raises(AccessError, match="refused the key"):
        await client.complete([ask("a")])
    await client.aclose()


@pytest.mark.parametrize(("change", "status", "says"), [
    ({"model": "other"}, 404, "known are: echo"),
    ({"stream": True}, 400, "Streaming is not offered"),
    ({"tools": [{}]}, 400, "tools"),
    ({"n": 2, "stop": ["x"]}, 400, "n, stop"),
    ({"temperature": 9}, 400, "temperature"),
    ({"max_tokens": 0}, 400, "max_tokens"),
    ({"messages": []}, 400, "messages"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, 400, "role"),
    ({"messages": [{"role": "user", "content": "x" * (MAX_CHARACTERS + 1)}]}, 400, "too long"),
])
async def test_a_fault_comes_in_the_form_of_openai(open_door: Open, change: dict[str, Any], status: int, says: str) -> None:
    got, body = await post(await open_door(), {**HELLO, **change})
    assert got == status
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert says in body["error"]["message"]


@pytest.mark.parametrize("body", [None, [], "text", 3])
async def test_a_body_of_another_kind_is_a_bad_request(open_door: Open, body: Any) -> None:
    status, answer = await post(await open_door(), body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


async def test_what_changes_nothing_is_accepted(open_door: Open) -> None:
    harmless = {"n": 1, "top_p": 1, "stop": None, "stream": False, "user": "me", "seed": 5, "max_completion_tokens": 7}
    status, body = await post(await open_door(), {**HELLO, **harmless})
    assert status == 200
    assert body["choices"][0]["message"]["content"] == "0.0 7 5 hello"
    assert body["metadata"] == {"who": "a script"}
    assert body["usage"]["total_tokens"] == 5


async def test_parts_of_text_are_one_text(open_door: Open) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    _, body = await post(await open_door(), {"model": "echo", "messages": [{"role": "developer", "content": parts}]})
    assert body["choices"][0]["message"]["content"].endswith(" ab")


async def test_a_model_that_is_gone_is_unavailable(open_door: Open) -> None:
    class Gone:
        name = "gone"

        async def complete(self, requests: object) -> list[Outcome]:
            raise EndpointError("The model is gone.")

    status, body = await post(await open_door(Gone()), HELLO)
    assert (status, body["error"]["message"]) == (503, "The model is gone.")
