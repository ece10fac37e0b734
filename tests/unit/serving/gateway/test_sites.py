"""By which names the models' gateway is reached, and what other sites' pages can have it do:
nothing.
"""

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Outcome, Request
from serving.gateway.api_keys import Keys
from serving.gateway.app import build_app
from serving.gateway.settings import GatewaySettings
from tests.contracts import sites
from tests.contracts.sites import EVIL, HOST, ask, named
from tests.unit.serving.gateway.conftest import KEY, OpenGateway

CHAT = "/v1/chat/completions"
BODY = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}


class Asked:
    """A gateway, and how often its model was asked."""

    def __init__(self, *keys: str, **settings: object) -> None:
        self.times = 0
        self.app: FastAPI = build_app(
            {"echo": ScriptedModel(self._answer)},
            GatewaySettings.model_validate(settings),
            Keys(keys),
        )

    def _answer(self, _: Request) -> Outcome:
        self.times += 1
        return Completion("fine", False, 1, 1)

    async def chat(self, headers: sites.Headers, **how: object) -> int:
        return (await ask(self.app, "POST", CHAT, headers, BODY | how)).status


@pytest.mark.parametrize("stream", [False, True])
async def test_another_sites_page_asks_no_model(stream: bool) -> None:
    gateway = Asked()
    assert {await gateway.chat(headers, stream=stream) for headers in sites.FOREIGN} == {403}
    assert gateway.times == 0
    assert {await gateway.chat(headers, stream=stream) for headers in sites.OWN} == {200}
    assert gateway.times == len(sites.OWN)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/echo"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("OPTIONS", CHAT),
        ("HEAD", "/v1/models"),
        ("POST", "/v1/completions"),
        ("PUT", CHAT),
    ],
)
async def test_no_route_is_open_to_it(method: str, path: str) -> None:
    app = Asked().app
    for headers in (
        named("evil.example"),
        named(HOST, ("origin", EVIL)),
        named(HOST, ("sec-fetch-site", "cross-site")),
    ):
        answer = await ask(app, method, path, headers)
        assert (answer.status, answer.code in ("unknown_host", "cross_site")) == (403, True)
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_only_json_is_a_question() -> None:
    gateway = Asked()
    answers = [
        await ask(gateway.app, "POST", CHAT, named(HOST), BODY, kind) for kind in sites.NOT_JSON
    ]
    assert {(answer.status, answer.code) for answer in answers} == {(415, "unsupported_media_type")}
    assert gateway.times == 0
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        assert (await ask(gateway.app, "POST", CHAT, named(HOST), BODY, kind)).status == 200


async def test_a_key_opens_by_any_name_but_not_to_another_sites_page() -> None:
    gateway, key = Asked(KEY), ("authorization", f"Bearer {KEY}")
    for host in sites.FOREIGN_NAMES:
        assert await gateway.chat(named(host, key)) == 200
        assert await gateway.chat(named(host)) == 401
    gateway.times = 0
    for page in sites.FOREIGN_PAGES:
        assert await gateway.chat((*page, key)) == 403
    assert gateway.times == 0
    proxied = named(
        "prompts.example.org",
        key,
        ("origin", "https://prompts.example.org"),
        ("sec-fetch-site", "same-origin"),
    )
    assert await gateway.chat(proxied) == 200


async def test_the_operator_lists_names_of_a_proxy() -> None:
    gateway = Asked(allowed_hosts=["Prompts.example.org", "other.example.org:8443"])
    for host, status in {
        "prompts.example.org": 200,
        "prompts.example.org:9999": 200,
        "PROMPTS.example.org.": 200,
        "other.example.org:8443": 200,
        "other.example.org": 403,
        "other.example.org:1": 403,
        "x.prompts.example.org": 403,
        "example.org": 403,
        HOST: 200,
    }.items():
        assert await gateway.chat(named(host)) == status, host
    for origin, status in {
        "https://prompts.example.org": 200,
        "http://prompts.example.org": 200,
        "https://prompts.example.org:8443": 403,
        "https://other.example.org:8443": 200,
        "https://other.example.org": 403,
        EVIL: 403,
    }.items():
        assert await gateway.chat(named(HOST, ("origin", origin))) == status, origin


@pytest.mark.parametrize(
    "name", ["*", "", "https://prompts.example.org", "a b", "x:0", "x:99999", "/"]
)
def test_what_is_no_name_is_told(name: str) -> None:
    with pytest.raises(ValidationError, match="no name of a host"):
        GatewaySettings.model_validate({"allowed_hosts": [name]})


async def test_the_address_that_it_listens_on_is_a_name_of_its() -> None:
    assert await Asked(host="door.internal").chat(named("door.internal:8000")) == 200
    assert await Asked(host="::1").chat(named("[::1]:8000")) == 200


@pytest.mark.parametrize(
    "headers", [named(HOST), named("evil.example"), named(HOST, ("origin", EVIL)), ()]
)
async def test_health_tells_whoever_asks_and_there_is_no_websocket(headers: sites.Headers) -> None:
    app = Asked().app
    assert (await ask(app, "GET", "/healthz", headers)).status == 200
    assert [message["type"] for message in await sites.websocket(app, CHAT, headers)] == [
        "websocket.close"
    ]


async def test_refusals_are_counted_and_name_no_foreign_text(open_gateway: OpenGateway) -> None:
    gateway = await open_gateway()
    refused = [
        await gateway.ask(CHAT, BODY, headers=headers)
        for headers in (
            {"Host": "evil.example"},
            {"Origin": EVIL},
            {"Sec-Fetch-Site": "cross-site"},
            {"Content-Type": "text/plain"},
        )
    ]
    assert [reply.code for reply in refused] == [
        "unknown_host",
        "cross_site",
        "cross_site",
        "unsupported_media_type",
    ]
    assert not any("evil" in reply.text for reply in refused)
    text = await gateway.metrics()
    assert 'promptray_door_refusals_total{reason="cross_site"} 2.0' in text
