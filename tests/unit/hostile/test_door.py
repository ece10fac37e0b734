"""The gateway takes any body and carries any reply; nothing of either breaks it."""

import asyncio
import json
from typing import Any

import pytest

from optimizer.scripted import ScriptedModel
from optimizer.types import Completion
from serving.gateway.app import build_app
from tests.contracts import hostile
from tests.contracts.sites import ask


def asked(body: Any, reply: str = "fine") -> tuple[int, Any]:
    """Status and JSON of the gateway's answer to one chat, without a network between."""
    app = build_app({"m": ScriptedModel(lambda _: Completion(reply))})
    answer = asyncio.run(ask(app, "POST", "/v1/chat/completions", body=body))
    return answer.status, json.loads(answer.text)


def chat(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize("text", hostile.SHORT)
def test_the_gateway_carries_any_reply(text: str) -> None:
    status, answer = asked(chat("hello"), text)
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize("text", hostile.SHORT)
def test_the_gateway_takes_or_refuses_any_question(text: str) -> None:
    assert asked(chat(text))[0] in (200, 400)
    assert asked(chat("hi") | {"model": text})[0] in (400, 404)
    assert asked(chat("hi") | {text or "x": text})[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"{" * 100_000,
        b"\x00",
        b"\xff\xfe",
        b"9" * 5000,
        b"null",
        b'{"model": "m", "messages": ' + b"[" * 50_000,
        b'{"model": "m", "messages": [], "temperature": NaN}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
    ],
)
def test_the_gateway_refuses_what_is_no_body(body: bytes) -> None:
    status, answer = asked(body)
    assert status == 400
    assert answer["error"]["message"]
