"""Answers as server-sent events, in OpenAI's shape; what fails or leaves in the middle."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.contracts.scripted_stream import ScriptedStream, words
from tests.unit.serving.gateway.conftest import Gateway, OpenGateway, Reply


def events(reply: Reply) -> list[Any]:
    """Return the events' contents; "[DONE]" for the last."""
    assert (reply.status, reply.headers["Content-Type"]) == (
        200,
        "text/event-stream; charset=utf-8",
    )
    blocks = reply.text.split("\n\n")
    assert blocks.pop() == ""
    data = [block.removeprefix("data: ") for block in blocks]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


@pytest.fixture
async def streaming(open_gateway: OpenGateway) -> Gateway:
    """Yield a gateway to a model that streams its question back word by word."""
    return await open_gateway(ScriptedStream(words))


async def test_a_chat_comes_role_first_then_pieces_then_the_reason(streaming: Gateway) -> None:
    *chunks, last = events(await streaming.chat("one two cut", stream=True))
    assert last == "[DONE]"
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "one "},
        {"content": "two "},
        {"content": "cut "},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 4 + ["length"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert not any("usage" in chunk for chunk in chunks)


async def test_tokens_come_last_where_they_are_asked_for(streaming: Gateway) -> None:
    *chunks, usage, _ = events(
        await streaming.chat("one", stream=True, stream_options={"include_usage": True})
    )
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert usage["choices"] == []
    assert usage["usage"] == {
        "prompt_tokens": 4,
        "completion_tokens": 1,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 2},
    }


async def test_a_model_without_a_stream_answers_in_one_piece(gateway: Gateway) -> None:
    chunks = events(await gateway.chat("hello", stream=True))
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:-1]] == [
        "",
        "0.0 512 0 hello",
        None,
    ]


async def test_every_prompt_has_a_stream_of_its_own(streaming: Gateway) -> None:
    reply = await streaming.complete(
        ["a b", "c", "d cut"], stream=True, stream_options={"include_usage": True}
    )
    *chunks, usage, last = events(reply)
    choices = [chunk["choices"][0] for chunk in chunks]
    text_by_index = {
        at: "".join(choice["text"] for choice in choices if choice["index"] == at)
        for at in range(3)
    }
    assert text_by_index == {0: "a b ", 1: "c ", 2: "d cut "}
    assert sorted(
        (one["index"], one["finish_reason"]) for one in choices if one["finish_reason"]
    ) == [(0, "stop"), (1, "stop"), (2, "length")]
    assert (usage["usage"]["prompt_tokens"], last) == (12, "[DONE]")


@pytest.mark.parametrize(
    ("fate", "status", "code"),
    [
        ("refuse", 400, "request_refused"),
        ("fail", 503, "model_failed"),
        ("break", 500, "internal_error"),
    ],
)
async def test_what_fails_before_the_first_piece_has_a_status(
    streaming: Gateway, fate: str, status: int, code: str
) -> None:
    reply = await streaming.chat(fate, stream=True)
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize(
    ("fate", "code"),
    [("refuse", "request_refused"), ("fail", "model_failed"), ("break", "internal_error")],
)
async def test_what_fails_later_is_the_last_event_and_nothing_is_done(
    streaming: Gateway, fate: str, code: str
) -> None:
    *chunks, last = events(await streaming.chat(f"one {fate} two", stream=True))
    assert chunks[-1]["choices"][0]["delta"] == {"content": "one "}
    assert last["error"]["code"] == code
    assert "secret" not in last["error"]["message"]
    assert f'promptray_door_refusals_total{{reason="{code}"}} 1.0' in await streaming.metrics()


async def test_one_prompt_that_fails_ends_the_stream_of_all(open_gateway: OpenGateway) -> None:
    model = ScriptedStream(words)
    gateway = await open_gateway(model)
    last = events(await gateway.complete(["one fail", "two wait"], stream=True))[-1]
    assert last["error"]["code"] == "model_failed"
    await asyncio.wait_for(model.cancelled.wait(), 10)


@pytest.mark.parametrize(("text", "stream"), [("wait", False), ("wait", True), ("one wait", True)])
async def test_an_answer_that_takes_too_long_is_given_up(
    open_gateway: OpenGateway, text: str, stream: bool
) -> None:
    model = ScriptedStream(words)
    gateway = await open_gateway(model, deliver_timeout_s=0.2)
    reply = await gateway.chat(text, stream=stream)
    # On a very busy machine not even "one" comes in time; then that is an answer of its own, too.
    error = events(reply)[-1] if reply.status == 200 else reply.json
    assert reply.status in ({200, 504} if text == "one wait" else {504})
    assert error["error"]["code"] == "timeout"
    await asyncio.wait_for(model.cancelled.wait(), 10)


@pytest.mark.parametrize(("text", "stream"), [("wait", False), ("wait", True), ("one wait", True)])
async def test_a_caller_who_goes_away_cancels_the_work(
    open_gateway: OpenGateway, text: str, stream: bool
) -> None:
    model = ScriptedStream(words)
    gateway = await open_gateway(model, max_in_flight=1)
    principal = asyncio.create_task(gateway.chat(text, stream=stream))
    await asyncio.wait_for(model.waiting.wait(), 10)
    assert not model.cancelled.is_set()
    principal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await principal
    await asyncio.wait_for(model.cancelled.wait(), 10)
    while (
        reply := await gateway.chat("one")
    ).status == 429:  # the place is free again, if not in the very same moment
        await asyncio.sleep(0.01)
    assert reply.status == 200
    if text == "wait":
        assert 'status="499"' in await gateway.metrics()


async def test_pieces_arrive_while_the_model_still_writes(open_gateway: OpenGateway) -> None:
    model = ScriptedStream(words)
    gateway = await open_gateway(model)
    body = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "one wait"}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.address}/v1/chat/completions", json=body) as reply,
    ):
        got = b""
        while b"one" not in got:
            got += await reply.content.readany()
        assert not model.cancelled.is_set()
    await asyncio.wait_for(model.cancelled.wait(), 10)
