"""The gateway without Ray: our own HTTP client behaves through it as any client must; faults come
in OpenAI's form.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from optimizer.errors import AccessError, EndpointError
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Outcome
from serving.clients.openai_model import OpenAIModel
from serving.concurrency.retrying import Retry, Transient
from serving.contracts.refusals import Rejected
from serving.gateway.request_bodies import MAX_CHARACTERS
from serving.settings import OpenAISettings
from tests.contracts.client_contract import LanguageModelContract, ask
from tests.unit.serving.gateway.conftest import KEY, Gateway, OpenGateway

HELLO = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}


class TestOurClientThroughTheDoor(LanguageModelContract):
    @pytest.fixture
    async def model(self, gateway: Gateway) -> AsyncIterator[OpenAIModel]:
        client = OpenAIModel(
            OpenAISettings(model="echo", base_url=f"{gateway.address}/v1"), KEY, Retry(attempts=1)
        )
        yield client
        await client.aclose()

    async def test_nothing_is_lost_on_the_way(self, model: OpenAIModel) -> None:
        outcomes = await model.complete(
            [ask("cut", sample=3, temperature=0.5, max_tokens=9), ask("refuse"), ask("fail")]
        )
        assert outcomes[0] == Completion("0.5 9 3 cut", True, 3, 2)
        assert [outcome.kind for outcome in outcomes[1:] if isinstance(outcome, Failed)] == [
            "refused",
            "infrastructure",
        ]


async def test_our_client_says_access_error_for_a_wrong_key(open_gateway: OpenGateway) -> None:
    gateway = await open_gateway(None, KEY)
    client = OpenAIModel(OpenAISettings(model="echo", base_url=f"{gateway.address}/v1"), "wrong")
    with pytest.raises(AccessError, match="refused the key"):
        await client.complete([ask("a")])
    await client.aclose()


@pytest.mark.parametrize(
    ("change", "status", "param", "says"),
    [
        ({"model": "other"}, 404, "model", "known are: echo"),
        ({"model": "o" * 10_000}, 404, "model", "known are: echo"),
        ({"tools": [{}]}, 400, "tools", "tools"),
        ({"n": 2, "stop": ["x"]}, 400, "n", "n, stop"),
        ({"logprobs": True}, 400, "logprobs", "logprobs"),
        ({"logprobs": 0}, 400, "logprobs", "logprobs"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format", "response_format"),
        ({"top_k": 5}, 400, "top_k", "top_k"),
        ({"temprature": 1}, 400, "temprature", "temprature"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options", "stream: true"),
        ({"temperature": 9}, 400, "temperature", "temperature"),
        ({"max_tokens": 0}, 400, "max_tokens", "max_tokens"),
        (
            {"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]},
            400,
            "messages.0",
            "tool_calls",
        ),
        ({"messages": []}, 400, "messages", "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, 400, "messages.0.role", "role"),
        (
            {"messages": [{"role": "user", "content": "x" * (MAX_CHARACTERS + 1)}]},
            400,
            "messages",
            "too long",
        ),
    ],
)
async def test_a_fault_comes_in_the_form_of_openai(
    gateway: Gateway, change: dict[str, Any], status: int, param: str, says: str
) -> None:
    reply = await gateway.ask("/v1/chat/completions", {**HELLO, **change})
    assert reply.status == status
    assert set(reply.json) == {"error"}
    assert set(reply.json["error"]) == {"message", "type", "param", "code"}
    assert reply.json["error"]["param"] == param
    assert says in reply.message
    assert len(reply.text) < 1000


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"[]",
        b'"text"',
        b"3",
        b"{",
        b"",
        b'{"model": "\\ud800"}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
async def test_a_body_of_another_kind_is_a_bad_request(gateway: Gateway, data: bytes) -> None:
    reply = await gateway.ask("/v1/chat/completions", data=data)
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")


async def test_what_changes_nothing_is_accepted(gateway: Gateway) -> None:
    harmless = {
        "n": 1,
        "top_p": 1,
        "stop": None,
        "stream": False,
        "user": "me",
        "seed": 5,
        "max_completion_tokens": 7,
        "logprobs": False,
        "presence_penalty": 0.0,
        "tools": [],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "temperature": None,
    }
    reply = await gateway.chat(**harmless)
    assert reply.status == 200
    assert reply.json["choices"][0]["message"]["content"] == "0.0 7 5 hello"
    assert reply.json["metadata"] == {"who": "a script"}
    assert reply.json["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(
    ("cached", "told"), [(None, None), (0, {"cached_tokens": 0}), (7, {"cached_tokens": 7})]
)
async def test_tokens_from_the_prefix_cache_are_told_where_they_are_known(
    open_gateway: OpenGateway, cached: int | None, told: dict[str, int] | None
) -> None:
    gateway = await open_gateway(
        ScriptedModel(lambda _: Completion("a", False, 9, 1, cached_tokens=cached))
    )
    assert (await gateway.chat()).json["usage"].get("prompt_tokens_details") == told


async def test_parts_of_text_are_one_text(gateway: Gateway) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    reply = await gateway.ask(
        "/v1/chat/completions",
        {"model": "echo", "messages": [{"role": "developer", "content": parts}]},
    )
    assert reply.json["choices"][0]["message"]["content"].endswith(" ab")


async def test_an_answer_may_be_sent_back_as_it_came(gateway: Gateway) -> None:
    answer = (await gateway.chat()).json["choices"][0]["message"]
    more = {"name": "me", "tool_calls": None, "annotations": []}
    messages = [
        {"role": "user", "content": "hello"},
        answer | more,
        {"role": "user", "content": "again"},
    ]
    assert (
        (await gateway.chat(messages=messages))
        .json["choices"][0]["message"]["content"]
        .endswith(" again")
    )


async def test_models_are_listed_and_shown(gateway: Gateway) -> None:
    listed, shown, other = [
        await gateway.ask(f"/v1/models{name}") for name in ("", "/echo", "/other")
    ]
    assert listed.json["data"] == [shown.json]
    assert (shown.json["id"], other.status, other.code) == ("echo", 404, "model_not_found")


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/v1/embeddings", "POST", 404, "unknown_url"),
        ("/", "GET", 404, "unknown_url"),
        ("/v1/models/", "PUT", 405, "method_not_allowed"),
        ("/v1/chat/completions", "GET", 405, "method_not_allowed"),
        ("/docs", "GET", 404, "unknown_url"),
    ],
)
async def test_no_path_leads_to_a_web_page(
    gateway: Gateway, path: str, method: str, status: int, code: str
) -> None:
    reply = await gateway.ask(path, method=method)
    assert (reply.status, reply.code) == (status, code)
    assert ("Allow" in reply.headers) == (status == 405)


class Rejecting:
    """A model behind an endpoint that rejects every request."""

    name = "rejecting"

    def __init__(self, status: int) -> None:
        self._outcome = Rejected(
            "infrastructure", "http://x answered: max_tokens is too large.", status
        )

    async def complete(self, requests: Sequence[object]) -> list[Outcome]:
        return [self._outcome] * len(requests)


@pytest.mark.parametrize(
    ("rejected", "status", "code", "wait"),
    [
        (400, 400, "request_rejected", None),
        (422, 400, "request_rejected", None),
        (404, 503, "model_failed", "5"),
    ],
)
async def test_a_fault_of_the_caller_has_the_endpoints_words_and_no_retry(
    open_gateway: OpenGateway, rejected: int, status: int, code: str, wait: str | None
) -> None:
    reply = await (await open_gateway(Rejecting(rejected))).chat()
    assert (reply.status, reply.code, reply.headers.get("Retry-After")) == (status, code, wait)
    assert "max_tokens is too large" in reply.message


class Broken:
    """A model that raises."""

    name = "broken"

    def __init__(self, problem: Exception, cause: Exception | None = None) -> None:
        self._problem = problem
        self._cause = cause

    async def complete(self, requests: object) -> list[Outcome]:
        raise self._problem from self._cause


@pytest.mark.parametrize(
    ("model", "status", "code", "says", "wait"),
    [
        (
            Broken(EndpointError("The model is gone.")),
            503,
            "model_failed",
            "The model is gone.",
            "5",
        ),
        (
            Broken(EndpointError("It is busy."), Transient("", overloaded=True)),
            429,
            "model_overloaded",
            "It is busy.",
            "1",
        ),
        (
            Broken(EndpointError("It is down."), Transient("")),
            503,
            "model_failed",
            "It is down.",
            "5",
        ),
        (
            Broken(AccessError("http://inside refused the key in SECRET_NAME.")),
            500,
            "internal_error",
            "in its log",
            None,
        ),
        (
            Broken(RuntimeError("a secret of the program")),
            500,
            "internal_error",
            "in its log",
            None,
        ),
    ],
)
async def test_a_model_that_raises_is_told_apart(
    open_gateway: OpenGateway, model: Broken, status: int, code: str, says: str, wait: str | None
) -> None:
    gateway = await open_gateway(model)
    for stream in (False, True):
        reply = await gateway.chat(stream=stream)
        assert (reply.status, reply.code, reply.headers.get("Retry-After")) == (status, code, wait)
        assert says in reply.message
        assert "secret" not in reply.text.lower()
