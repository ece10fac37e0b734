"""Faults on the wire that may pass are tried again, within bounds; those that are the request's own
are not; none ends a run.
"""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import EndpointError
from optimizer.types import Completion, Failed
from serving.clients.openai_errors import requested_wait_s
from serving.clients.openai_model import OpenAIModel
from serving.clients.openai_requests import body_of, idempotency_key
from serving.concurrency.retrying import Retry
from serving.settings import OpenAISettings
from tests.contracts.client_contract import QUESTIONS, ask
from tests.unit.serving.raw_endpoint import Asked, Play, RawEndpoint, chat, http

KEY = "sk-very-secret"
FAST = Retry(attempts=4, first_wait_s=0.001, longest_wait_s=0.01)
Serve = Callable[..., Awaitable[tuple[OpenAIModel, RawEndpoint]]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    started: list[tuple[OpenAIModel, RawEndpoint]] = []

    async def start(
        play: Callable[[Asked], Play | None], retry: Retry = FAST, **settings: Any
    ) -> tuple[OpenAIModel, RawEndpoint]:
        endpoint = RawEndpoint(play)
        await endpoint.start()
        known = {"timeout_s": 5.0, "outage_s": 0} | settings
        started.append(
            (
                OpenAIModel(
                    OpenAISettings(model="m", base_url=endpoint.base_url, **known), KEY, retry
                ),
                endpoint,
            )
        )
        return started[-1]

    yield start
    for model, endpoint in started:
        await model.aclose()
        await endpoint.stop()


def says(data: bytes) -> Play:
    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return play


async def says_nothing(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def drips(writer: asyncio.StreamWriter) -> None:
    for byte in http(chat("never comes")):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def resets(writer: asyncio.StreamWriter) -> None:
    writer.write(http(chat("a"))[:150])
    await writer.drain()
    writer.transport.abort()


WHOLE = chat("wrong")
MAY_PASS: dict[str, Play] = {
    "cut, with its length": says(http(WHOLE[:90], length=len(WHOLE))),
    "cut, without a length": says(http(WHOLE[:90], length=None)),
    "cut in the head": says(http(WHOLE)[:40]),
    "no answer at all": says(b""),
    "no http": says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "a reset in the body": resets,
    "malformed json": says(http(b'{"choices": [{]}')),
    "a nesting without end": says(http(b"[" * 100_000)),
    "a number without end": says(http(b'{"created": ' + b"1" * 5000 + b"}")),
    "a web page": says(http(b"<html>hello</html>", kind="text/html")),
    "an odd charset": says(http(b"<html>hello</html>", kind="text/html; charset=klingon")),
    "bytes that are not gzip": says(http(WHOLE, Content_Encoding="gzip")),
    "empty choices": says(http(b'{"choices": []}')),
    "an error in place of choices": says(http(b'{"error": {"message": "upstream", "code": 502}}')),
    "broken off": says(http(chat("wrong", None))),
    "an error behind the gateway": says(http(chat("wrong", "error"))),
    "a redirect": says(http(b"", "302 Found", Location="/v1/chat/completions")),
    "silence": says_nothing,
    "a slow drip": drips,
    **{
        status: says(http(b'{"error": {"message": "no"}}', status))
        for status in (
            "408 Timeout",
            "409 Conflict",
            "429 Too Many Requests",
            "500 Error",
            "502 Bad Gateway",
            "503 Unavailable",
            "504 Timeout",
            "529 Overloaded",
        )
    },
}


ENDLESS = ("silence", "a slow drip")


def patience(fault: str) -> float:
    """Seconds in which a call is answered: no more than a moment where no answer comes, and more than
    any load takes where one does.
    """
    return 0.3 if fault in ENDLESS else 30.0


@pytest.mark.parametrize("fault", MAY_PASS)
async def test_what_may_pass_is_tried_again_and_is_one_answer(serve: Serve, fault: str) -> None:
    queue = [MAY_PASS[fault]] * 2
    model, endpoint = await serve(
        lambda asked: queue.pop() if queue else None, timeout_s=patience(fault)
    )
    assert await model.complete([ask("a")]) == [Completion("heard a", False, 7, 3)]
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize("fault", MAY_PASS)
async def test_what_does_not_pass_is_missing_while_the_endpoint_answers_others(
    serve: Serve, fault: str
) -> None:
    model, endpoint = await serve(
        lambda asked: MAY_PASS[fault] if "number 1." in asked.text else None,
        Retry(attempts=2, first_wait_s=0.001),
        timeout_s=patience(fault),
    )
    outcomes = await model.complete(QUESTIONS[:3])
    assert [isinstance(outcome, Failed) and outcome.kind for outcome in outcomes] == [
        False,
        "infrastructure",
        False,
    ]
    assert sum("number 1." in asked.text for asked in endpoint.asked) == 2


@pytest.mark.parametrize("seed", range(3))
async def test_three_faults_in_ten_calls_change_no_answer(serve: Serve, seed: int) -> None:
    draw, played = Random(seed), Counter[str]()

    def play(asked: Asked) -> Play | None:
        fault = draw.choice(sorted(MAY_PASS)) if draw.random() < 0.3 else ""
        played[fault] += 1
        return MAY_PASS.get(fault)

    model, _ = await serve(
        play, Retry(attempts=10, first_wait_s=0.01, longest_wait_s=0.05), timeout_s=1.0, outage_s=60
    )
    outcomes = await model.complete([ask(f"question {number}") for number in range(150)])
    assert outcomes == [
        Completion(f"heard question {number}", False, 7, 3) for number in range(150)
    ]
    assert len(played) > 15


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("400 Bad Request", "content_filter", "refused"),
        ("400 Bad Request", "context_length_exceeded", "refused"),
        ("400 Bad Request", "other", "infrastructure"),
        ("413 Too Large", "", "infrastructure"),
        ("422 Unprocessable", "", "infrastructure"),
    ],
)
async def test_a_request_at_fault_is_not_tried_again(
    serve: Serve, status: str, code: str, kind: str
) -> None:
    fault = says(http(json.dumps({"error": {"message": "no", "code": code}}).encode(), status))
    model, endpoint = await serve(lambda asked: fault if asked.text == "bad" else None)
    await model.complete([ask("a")])
    (outcome,) = await model.complete([ask("bad")])
    assert isinstance(outcome, Failed)
    assert (outcome.kind, len(endpoint.asked)) == (kind, 2)


@pytest.mark.parametrize("header", ["1", "date"])
async def test_it_waits_as_long_as_it_is_asked_to_whichever_way(serve: Serve, header: str) -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC)  # a clock of its own
    asked = format_datetime(now + timedelta(seconds=1), usegmt=True) if header == "date" else header
    queue = [
        says(http(b"{}", "429 Slow", Retry_After=asked, Date=format_datetime(now, usegmt=True)))
    ]
    model, _ = await serve(lambda asked: queue.pop() if queue else None)
    began = asyncio.get_running_loop().time()
    assert isinstance((await model.complete([ask("a")]))[0], Completion)
    assert 1.0 <= asyncio.get_running_loop().time() - began < 3.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
        ({"retry-after": "soon"}, None),
        (
            {
                "retry-after": "Wed, 01 Jan 2020 00:00:30 GMT",
                "date": "Wed, 01 Jan 2020 00:00:00 GMT",
            },
            30.0,
        ),
        ({"retry-after": "Wed, 01 Jan 2020 00:00:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Foo 2020 00:00:30 GMT"}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert requested_wait_s(headers) == seconds


@given(
    st.text()
    | st.integers().map(str)
    | st.datetimes(timezones=st.none() | st.just(UTC)).map(format_datetime)
)
def test_no_retry_after_breaks_anything(text: str) -> None:
    seconds = requested_wait_s({"retry-after": text, "date": text})
    assert seconds is None or seconds >= 0


async def test_all_attempts_of_a_call_carry_one_key_and_other_calls_another(serve: Serve) -> None:
    model, endpoint = await serve(
        lambda asked: MAY_PASS["500 Error"] if len(endpoint.asked) in (1, 2) else None
    )
    await model.complete([ask("a")])
    await model.complete([ask("a", sample=1)])
    keys = [asked.headers["idempotency-key"] for asked in endpoint.asked]
    assert len(keys) == 4
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in endpoint.asked)


def test_the_key_depends_on_the_model_and_tells_nothing() -> None:
    settings = OpenAISettings(model="m")
    body = body_of(settings, ask("a secret question"))
    keys = {idempotency_key(identity, body) for identity in ("one", "other")}
    assert len(keys) == 2
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_every_text_goes_out_as_json_that_means_it(text: str) -> None:
    assert (
        json.loads(body_of(OpenAISettings(model="m"), ask(text)))["messages"][0]["content"] == text
    )


async def test_lone_surrogates_control_characters_and_a_megabyte_go_both_ways(serve: Serve) -> None:
    model, endpoint = await serve(lambda asked: None)
    texts = ["lone \ud800 surrogate", "\x00\x07\u202e{}[END]", "x" * 10**6, "ü"]
    outcomes = await model.complete([ask(text) for text in texts])
    assert [isinstance(outcome, Completion) and outcome.text for outcome in outcomes] == [
        f"heard {text}" for text in texts
    ]
    assert b"\\ud800" in next(asked.raw for asked in endpoint.asked if "lone" in asked.text)


@pytest.mark.parametrize("tokens", ["many", -1, 2**70, None, 1.5, [7]])
async def test_odd_counts_of_tokens_are_none(serve: Serve, tokens: object) -> None:
    reply = json.loads(chat("a"))
    reply["usage"] = {
        "prompt_tokens": tokens,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": tokens},
    }
    model, _ = await serve(lambda asked: says(http(json.dumps(reply).encode())))
    (outcome,) = await model.complete([ask("a")])
    assert outcome == Completion("a", False, None, 3)
    assert isinstance(outcome, Completion)
    assert outcome.cached_tokens is None


async def test_a_key_in_an_answer_is_not_repeated(serve: Serve) -> None:
    fault = says(
        http(json.dumps({"error": {"message": f"The key {KEY} is busy"}}).encode(), "500 Error")
    )
    model, _ = await serve(lambda asked: fault if asked.text == "a" else None)
    (outcome,) = await model.complete([ask("a")])
    assert isinstance(outcome, Failed)
    assert "[key]" in outcome.reason
    assert KEY not in outcome.reason


def swollen(size: int) -> bytes:
    """Return an answer that is good but for its size."""
    return chat("a" * size)


def packed(data: bytes, how: str) -> bytes:
    if how == "raw deflate":
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return packer.compress(data) + packer.flush()
    return gzip.compress(data, 1) if how == "gzip" else zlib.compress(data)


BOMB = packed(swollen(100 * 2**20), "gzip")
"""A packed body of 450 kB."""


async def endless_body(writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", length=None))
    while True:
        writer.write(b" " * 2**20)
        await writer.drain()


async def endless_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    while True:
        writer.write(b"100000\r\n" + b" " * 2**20 + b"\r\n")
        await writer.drain()


async def endless_comments(writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", kind="text/event-stream", length=None))
    while True:
        writer.write(b": wait\n\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless_events(writer: asyncio.StreamWriter) -> None:
    event = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "a" * 2**20}, "finish_reason": None}],
    }
    writer.write(http(b"", kind="text/event-stream", length=None))
    while True:
        writer.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("how", "header"),
    [("gzip", "gzip"), ("gzip", "x-gzip"), ("deflate", "deflate"), ("raw deflate", "deflate")],
)
async def test_a_packed_answer_is_unpacked(serve: Serve, how: str, header: str) -> None:
    model, endpoint = await serve(
        lambda asked: says(http(packed(swollen(300_000), how), Content_Encoding=header))
    )
    (outcome,) = await model.complete([ask("a")])
    assert isinstance(outcome, Completion)
    assert len(outcome.text) == 300_000
    assert endpoint.asked[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (says(http(BOMB, Content_Encoding="gzip")), "more than 16 MiB"),
        (says(http(BOMB, Content_Encoding="gzip", status="500 Broken")), "more than 16 MiB"),
        (endless_body, "more than 16 MiB"),
        (endless_chunks, "more than 16 MiB"),
        (says(http(b"x" * 100, Content_Encoding="br")), "packed as br"),
        (says(http(b"x", Content_Encoding="gzip, gzip")), "packed as gzip"),
    ],
)
async def test_an_oversized_reply_is_one_failure_without_retry(
    serve: Serve, play: Play, said: str
) -> None:
    model, endpoint = await serve(lambda asked: play if asked.text == "bomb" else None)
    await model.complete([ask("a")])
    tracemalloc.start()
    try:
        (outcome,) = await model.complete([ask("bomb")])
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, Failed)
    assert (outcome.kind, said in outcome.reason) == ("infrastructure", True), outcome
    assert Counter(asked.text for asked in endpoint.asked) == {"a": 1, "bomb": 1}
    assert isinstance((await model.complete([ask("b")]))[0], Completion), (
        "the next answer is read as ever"
    )


@pytest.mark.parametrize(
    ("play", "said"),
    [(endless_comments, "did not answer within"), (endless_events, "more than 16 MiB")],
)
async def test_a_stream_without_end_ends(serve: Serve, play: Play, said: str) -> None:
    model, _ = await serve(lambda asked: play, timeout_s=0.5 if play is endless_comments else 20.0)
    async with asyncio.timeout(60):
        pieces = [piece async for piece in model.stream(ask("a"))]
    assert isinstance(pieces[-1], Failed)
    assert said in pieces[-1].reason


REDIRECTS = [
    "301 Moved Permanently",
    "302 Found",
    "303 See Other",
    "307 Temporary Redirect",
    "308 Permanent Redirect",
]


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_is_not_followed_and_is_one_error(serve: Serve, status: str) -> None:
    """An endpoint may send a call into the network of whoever calls, and the key with it."""
    inside = RawEndpoint(lambda asked: None)
    await inside.start()
    model, endpoint = await serve(
        lambda asked: says(http(b"", status, Location=f"{inside.base_url}/chat/completions"))
    )
    said = f"answered {status[:3]}, a redirect, which no call follows. Check that base_url"
    for ask_it in (model.at_once(ask("a")), model.complete([ask("a")])):
        with pytest.raises(EndpointError, match=said):
            await ask_it
    with pytest.raises(EndpointError, match=said):
        await anext(aiter(model.stream(ask("a"))))
    assert len(endpoint.asked) > 0
    assert inside.asked == []
    await inside.stop()
