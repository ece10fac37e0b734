"""The HTTP client against a real server on this machine that behaves in every bad way."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from optimizer.errors import AccessError, EndpointError
from optimizer.types import Completion, Failed, Message, Outcome, Request, Sampling
from serving.clients.openai_model import OpenAIModel
from serving.clients.probe import reach
from serving.concurrency.retrying import Retry
from serving.contracts.streaming import Piece
from serving.settings import OpenAISettings
from tests.contracts.client_contract import QUESTIONS, LanguageModelContract, ask

Handler = Callable[[dict[str, Any]], web.Response]
Connect = Callable[..., Awaitable[OpenAIModel]]
KEY = "sk-very-secret"
FAST = Retry(attempts=3, first_wait_s=0.001, longest_wait_s=0.01)


def reply(text: str | None, finish_reason: str = "stop", **message: Any) -> web.Response:
    return web.json_response(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish_reason,
                    "message": {"role": "assistant", "content": text, **message},
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        }
    )


def problem(
    status: int,
    code: str = "",
    message: str = "It went wrong.",
    headers: dict[str, str] | None = None,
) -> web.Response:
    return web.json_response(
        {"error": {"message": message, "code": code, "type": "x"}}, status=status, headers=headers
    )


def events(*data: dict[str, Any] | str, done: bool = True) -> web.Response:
    lines = [f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in data]
    return web.Response(
        text="".join(lines) + ("data: [DONE]\n\n" if done else ""), content_type="text/event-stream"
    )


def event(text: str | None, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": finish_reason, "delta": {"content": text, **delta}}
        ],
    }


USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 3,
    "total_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 5},
}
LAST = {**event(None), "choices": [], "usage": USAGE}


def echo(body: dict[str, Any]) -> web.Response:
    text = f"heard {body['prompt'] if 'prompt' in body else body['messages'][-1]['content']}"
    if "prompt" in body:
        shape = {"id": "x", "object": "text_completion", "created": 1, "model": "m", "usage": USAGE}
        whole = {**shape, "choices": [{"index": 0, "finish_reason": "stop", "text": text}]}
        return events(whole) if body.get("stream") else web.json_response(whole)
    if body.get("stream"):
        return events(event(""), event(text[:3]), event(text[3:]), event(None, "stop"), LAST)
    return reply(text)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Starts an endpoint with a handler, and gives a client of it."""
    closers: list[Callable[[], Awaitable[None]]] = []

    async def start(handler: Handler, retry: Retry = FAST, **settings: Any) -> OpenAIModel:
        async def chat(request: web.Request) -> web.Response:
            return handler(await request.json())

        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        app.router.add_post("/v1/completions", chat)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        known = {"outage_s": 0} | settings
        model = OpenAIModel(
            OpenAISettings(model="m", base_url=f"http://127.0.0.1:{port}/v1", **known), KEY, retry
        )
        closers.extend([runner.cleanup, model.aclose])
        return model

    yield start
    for close in reversed(closers):
        await close()


class TestOpenAIModel(LanguageModelContract):
    @pytest.fixture
    async def model(self, connect: Connect) -> OpenAIModel:
        return await connect(echo)


async def test_a_request_goes_out_as_it_is_meant(connect: Connect) -> None:
    bodies: list[dict[str, Any]] = []

    def handler(body: dict[str, Any]) -> web.Response:
        bodies.append(body)
        return reply("ok", "length")

    model = await connect(handler)
    outcome = await model.complete(
        [Request((Message("system", "s"), Message("user", "u")), Sampling(0.7, 99), sample=4)]
    )
    assert outcome == [Completion("ok", True, 7, 3)]
    assert bodies == [
        {
            "model": "m",
            "temperature": 0.7,
            "max_tokens": 99,
            "seed": 4,
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        }
    ]


async def test_settings_for_other_dialects(connect: Connect) -> None:
    bodies: list[dict[str, Any]] = []

    def handler(body: dict[str, Any]) -> web.Response:
        bodies.append(body)
        return echo(body)

    model = await connect(
        handler, max_tokens=5000, max_tokens_field="max_completion_tokens", send_temperature=False
    )
    await model.complete([ask("u")])
    assert bodies == [
        {
            "model": "m",
            "max_completion_tokens": 5000,
            "messages": [{"role": "user", "content": "u"}],
        }
    ]


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "invalid_api_key", "OPENAI_API_KEY"),
        (403, "", "OPENAI_API_KEY"),
        (404, "model_not_found", "'m'"),
        (429, "insufficient_quota", "OPENAI_API_KEY"),
    ],
)
async def test_no_access_is_said_at_once(
    connect: Connect, status: int, code: str, says: str
) -> None:
    calls = 0

    def handler(_: dict[str, Any]) -> web.Response:
        nonlocal calls
        calls += 1
        return problem(status, code, f"The key {KEY} is wrong.")

    model = await connect(handler)
    with pytest.raises(AccessError, match=says) as caught:
        await model.complete([ask("a")])
    assert calls == (2 if status in (403, 404) else 1), (
        "what may be one item's is asked about once, in harmless words"
    )
    assert KEY not in str(caught.value)


async def test_an_unreachable_endpoint_is_an_endpoint_error() -> None:
    model = OpenAIModel(OpenAISettings(model="m", base_url="http://127.0.0.1:9/v1"), KEY, FAST)
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9"):
        await reach(model)
    await model.aclose()


GARBAGE: dict[str, Callable[[], web.Response]] = {
    "a web page": lambda: web.Response(text="<html>hello</html>", content_type="text/html"),
    "broken json": lambda: web.Response(text="{not json", content_type="application/json"),
    "no choices": lambda: web.json_response({"hello": "there"}),
    "empty choices": lambda: web.json_response({"choices": []}),
    "odd choices": lambda: web.json_response({"choices": "none"}),
    "no message": lambda: web.json_response({"choices": [{"index": 0}]}),
    "odd content": lambda: web.json_response(
        {"choices": [{"message": {"content": {"a": 1}}, "finish_reason": "stop"}]}
    ),
    "a list": lambda: web.json_response([1, 2]),
    "null": lambda: web.json_response(None),
    "nothing": lambda: web.Response(),
    "bytes": lambda: web.Response(body=b"\xff\xfe\x00", content_type="application/json"),
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_an_endpoint_that_only_answers_with_garbage_is_an_endpoint_error(
    connect: Connect, kind: str
) -> None:
    model = await connect(lambda _: GARBAGE[kind]())
    with pytest.raises(EndpointError, match="no chat completion"):
        await model.complete(QUESTIONS[:3])


async def test_one_garbled_reply_among_good_ones_is_a_value(connect: Connect) -> None:
    model = await connect(
        lambda body: reply("ok") if "number 1." not in str(body) else GARBAGE["a web page"]()
    )
    outcomes = await model.complete(QUESTIONS[:3])
    assert [type(outcome) for outcome in outcomes] == [Completion, Failed, Completion]
    for _ in range(3):
        assert (
            await model.complete(QUESTIONS[1:2]) == outcomes[1:2]
        )  # a lone one too, as the endpoint answers another question


async def test_a_request_that_always_breaks_is_a_failed_value(
    connect: Connect,
) -> None:
    model = await connect(lambda body: problem(500) if "number 1." in str(body) else echo(body))
    (outcome,) = await model.complete(QUESTIONS[1:2])
    assert isinstance(outcome, Failed)
    assert outcome.kind == "infrastructure"


async def test_an_endpoint_that_is_gone_is_an_error_without_waiting(
    connect: Connect,
) -> None:
    queue = [echo({"messages": [{"content": "a"}]})]
    model = await connect(lambda _: queue.pop() if queue else problem(500))
    await model.complete([ask("a")])
    with pytest.raises(EndpointError, match="500"):
        await model.complete([ask("b")])


async def test_a_faulty_request_is_sent_once_and_a_misconfigured_endpoint_is_an_error(
    connect: Connect,
) -> None:
    bodies = []

    def handler(body: dict[str, Any]) -> web.Response:
        bodies.append(body)
        return (
            problem(400, "unsupported", "No temperature.")
            if "number 1." in str(body)
            else echo(body)
        )

    model = await connect(handler)
    await model.complete(QUESTIONS[2:3])
    (outcome,) = await model.complete(QUESTIONS[1:2])
    assert isinstance(outcome, Failed)
    assert (outcome.kind, len(bodies)) == ("infrastructure", 2)
    misset = await connect(lambda _: problem(400, "unsupported", "No temperature."))
    with pytest.raises(EndpointError, match="No temperature"):
        await misset.complete(QUESTIONS[1:3])


async def _after(connect: Connect, *before: web.Response, retry: Retry = FAST) -> list[Outcome]:
    queue = list(before)
    model = await connect(lambda body: queue.pop(0) if queue else echo(body), retry)
    return await model.complete([ask("a")])


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_what_may_pass_is_tried_again(connect: Connect, status: int) -> None:
    assert await _after(connect, problem(status), problem(status)) == [
        Completion("heard a", False, 7, 3)
    ]


async def test_retry_after_is_honoured(connect: Connect) -> None:
    started = asyncio.get_running_loop().time()
    await _after(
        connect,
        problem(429, headers={"Retry-After": "0.3"}),
        retry=Retry(attempts=2, first_wait_s=0.001),
    )
    assert asyncio.get_running_loop().time() - started >= 0.3


async def test_one_call_that_always_fails_does_not_take_the_others_with_it(
    connect: Connect,
) -> None:
    model = await connect(lambda body: problem(500) if "number 1." in str(body) else echo(body))
    outcomes = await model.complete(QUESTIONS[:4])
    assert [
        isinstance(outcome, Failed) and outcome.kind == "infrastructure" for outcome in outcomes
    ] == [False, True, False, False]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: problem(400, "content_filter"),
        lambda: problem(400, "context_length_exceeded"),
        lambda: reply(None, refusal="I will not."),
        lambda: reply("", "content_filter"),
        lambda: reply("You take two", "content_filter"),
    ],
)
async def test_a_refusal_is_a_value(connect: Connect, answer: Callable[[], web.Response]) -> None:
    model = await connect(lambda _: answer())
    (outcome,) = await model.complete([ask("a")])
    assert isinstance(outcome, Failed)
    assert outcome.kind == "refused"


async def test_an_empty_answer_is_an_answer(connect: Connect) -> None:
    model = await connect(lambda _: reply(None, "length"))
    assert await model.complete([ask("a")]) == [Completion("", True, 7, 3)]


async def test_no_more_calls_are_in_flight_than_allowed(connect: Connect) -> None:
    model = await connect(echo, max_in_flight=3)
    assert len(await model.complete(QUESTIONS)) == len(QUESTIONS)
    assert model._limiter.gate.in_flight == 0


async def in_pieces(model: OpenAIModel) -> list[Piece]:
    return [piece async for piece in model.stream(ask("a"))]


async def test_a_stream_asks_for_its_usage_and_reads_it(connect: Connect) -> None:
    bodies: list[dict[str, Any]] = []

    def handler(body: dict[str, Any]) -> web.Response:
        bodies.append(body)
        return echo(body)

    *texts, outcome = await in_pieces(await connect(handler))
    assert (texts, outcome) == (["hea", "rd a"], Completion("heard a", False, 7, 3))
    assert isinstance(outcome, Completion)
    assert outcome.cached_tokens == 5
    assert (bodies[0]["stream"], bodies[0]["stream_options"]) == (True, {"include_usage": True})


async def test_a_raw_text_goes_to_the_completions_endpoint(connect: Connect) -> None:
    bodies: list[dict[str, Any]] = []

    def handler(body: dict[str, Any]) -> web.Response:
        bodies.append(body)
        return echo(body)

    model = await connect(handler, max_tokens=5, max_tokens_field="max_completion_tokens")
    (outcome,) = await model.complete(
        [Request((Message("user", "Once upon"),), Sampling(0.5, 9), sample=2, raw=True)]
    )
    assert outcome == Completion("heard Once upon", False, 7, 3)
    assert bodies == [
        {"model": "m", "prompt": "Once upon", "max_tokens": 5, "temperature": 0.5, "seed": 2}
    ]


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (lambda: problem(400, "content_filter"), "refused"),
        (lambda: events(event("I"), event(None, "stop", refusal="I will not.")), "refused"),
        (lambda: events(event(None, "content_filter")), "refused"),
        (lambda: events(event("You take two"), event(None, "content_filter")), "refused"),
        (lambda: problem(400, "other"), "infrastructure"),
        (lambda: events(event("It br")), "infrastructure"),
        (lambda: events(event("It br"), done=False), "infrastructure"),
        (
            lambda: events(event("It br"), {"error": {"message": f"The engine with {KEY} died."}}),
            "infrastructure",
        ),
        (lambda: events("{not json"), "infrastructure"),
        (lambda: GARBAGE["a web page"](), "infrastructure"),
        (lambda: GARBAGE["null"](), "infrastructure"),
    ],
)
async def test_a_stream_that_fails_ends_with_a_value(
    connect: Connect, answer: Callable[[], web.Response], fate: str
) -> None:
    queue = [echo({"messages": [{"content": "a"}]})]
    model = await connect(lambda _: queue.pop() if queue else answer())
    await model.complete([ask("a")])  # a lone failure is borne once, after a good answer
    *_, outcome = await in_pieces(model)
    assert isinstance(outcome, Failed)
    assert outcome.kind == fate
    assert KEY not in outcome.reason


async def test_a_stream_is_tried_again_before_its_first_event(connect: Connect) -> None:
    queue = [problem(503), problem(429)]
    model = await connect(lambda body: queue.pop() if queue else echo(body))
    assert (await in_pieces(model))[-1] == Completion("heard a", False, 7, 3)


async def test_a_stream_from_nowhere_is_an_endpoint_error() -> None:
    model = OpenAIModel(
        OpenAISettings(model="m", base_url="http://127.0.0.1:9/v1", outage_s=0), KEY, FAST
    )
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9"):
        await in_pieces(model)
    await model.aclose()


async def test_a_stream_that_breaks_off_in_the_middle_ends_with_a_value() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(f"data: {json.dumps(event('It br'))}\n\n".encode())
        assert request.transport is not None
        request.transport.abort()
        return answer

    app = web.Application()
    app.router.add_post("/v1/chat/completions", cut)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    model = OpenAIModel(
        OpenAISettings(model="m", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1"),
        KEY,
        FAST,
    )
    *texts, outcome = await in_pieces(model)
    assert texts == ["It br"]
    assert isinstance(outcome, Failed)
    assert "broke off" in outcome.reason
    await model.aclose()
    await runner.cleanup()
