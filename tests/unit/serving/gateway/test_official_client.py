"""OpenAI's own package gets through the gateway: with and without asyncio, whole and streaming, and
its errors are the right ones.
"""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from tests.contracts.scripted_stream import ScriptedStream, words
from tests.unit.serving.gateway.conftest import KEY, Gateway, OpenGateway


def said(text: str) -> list[ChatCompletionUserMessageParam]:
    return [{"role": "user", "content": text}]


@pytest.fixture
async def gateway(open_gateway: OpenGateway) -> Gateway:
    return await open_gateway(ScriptedStream(words), KEY)


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.address}/v1", api_key=KEY, max_retries=0
    ) as opened:
        yield opened


async def test_whole_answers(client: openai.AsyncOpenAI) -> None:
    chat = await client.chat.completions.create(model="echo", messages=said("a b"))
    assert chat.choices[0].message.content == "a b "
    assert chat.usage is not None
    assert chat.usage.prompt_tokens_details is not None
    assert chat.usage.prompt_tokens_details.cached_tokens == 2
    completion = await client.completions.create(model="echo", prompt=["a", "b c"])
    assert [choice.text for choice in completion.choices] == ["a ", "b c "]
    assert [model.id async for model in client.models.list()] == ["echo"]
    assert (await client.models.retrieve("echo")).id == "echo"


async def test_streams(client: openai.AsyncOpenAI) -> None:
    chat = await client.chat.completions.create(
        model="echo", messages=said("a b cut"), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in chat]
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        == "a b cut "
    )
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 7
    completion = await client.completions.create(model="echo", prompt=["a", "b"], stream=True)
    texts = [(one.choices[0].index, one.choices[0].text) async for one in completion]
    assert sorted(texts) == [(0, ""), (0, "a "), (1, ""), (1, "b ")]


async def test_the_client_without_asyncio(gateway: Gateway) -> None:
    def talk() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=f"{gateway.address}/v1", api_key=KEY) as client:
            whole = (
                client.chat.completions.create(model="echo", messages=said("a b"))
                .choices[0]
                .message.content
            )
            stream = client.chat.completions.create(model="echo", messages=said("a b"), stream=True)
            return whole, "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    assert await asyncio.to_thread(talk) == ("a b ", "a b ")


async def test_the_helper_for_streams_puts_the_answer_together(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(model="echo", messages=said("a b")) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "a b "
    assert final.choices[0].message.role == "assistant"


async def test_errors_are_the_packages_own(client: openai.AsyncOpenAI, gateway: Gateway) -> None:
    with pytest.raises(openai.NotFoundError, match="known are: echo"):
        await client.chat.completions.create(model="gpt", messages=said("a"))
    with pytest.raises(openai.BadRequestError) as bad:
        await client.chat.completions.create(model="echo", messages=said("a"), n=2)
    assert (bad.value.code, bad.value.param) == ("unsupported_value", "n")
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="echo", messages=said("fail"))
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="wrong").models.list()
    stream = await client.chat.completions.create(
        model="echo", messages=said("a fail"), stream=True
    )
    with pytest.raises(openai.APIError, match="It went down"):
        [chunk async for chunk in stream]


async def test_who_is_refused_gets_through_by_the_packages_own_retries(
    open_gateway: OpenGateway,
) -> None:
    gateway = await open_gateway(model := ScriptedStream(words), max_in_flight=1)
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.address}/v1", api_key="any", max_retries=10
    ) as client:
        first = asyncio.create_task(
            client.chat.completions.create(model="echo", messages=said("wait"))
        )
        await model.waiting.wait()
        second = asyncio.create_task(
            client.chat.completions.create(model="echo", messages=said("a"))
        )
        while 'reason="too_many_in_flight"' not in await gateway.metrics():
            await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).choices[0].message.content == "a "
