"""`openai.OpenAI(base_url=...)` gets answers from built-in models, through a real gateway on a real
Ray.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai
import pytest
from ray import serve

from optimizer.errors import EndpointError, SettingsError
from serving.gateway.deployment import bind_gateway, open_gateway
from serving.gateway.settings import GatewaySettings
from serving.hosting.deployment import QUIET, bind
from serving.models import connect, load_engine
from serving.settings import OptimizerSettings, Served, TargetSettings
from tests.contracts.scripted_stream import WaitingSettings, load

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]
KEY = "the-key-of-this-test"
APPLES = "Count: one apple, two pears."


def gateway(
    settings: GatewaySettings,
    *more: WaitingSettings,
    models: Sequence[Served] = (TargetSettings(), OptimizerSettings()),
) -> serve.Application:
    hosted = {model.label: bind(model, load_engine) for model in models} | {
        model.label: bind(model, load) for model in more
    }
    return bind_gateway(settings, [*models, *more], hosted, connect)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> GatewaySettings:
    file: Path = tmp_path_factory.mktemp("door") / "keys"
    file.write_text(f"# for this test\n{KEY}\n")
    return GatewaySettings(port=free_port(), api_keys_file=file, max_body_bytes=20_000)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> WaitingSettings:
    return WaitingSettings(mark=tmp_path_factory.mktemp("waiting") / "cancelled")


@pytest.fixture(scope="module")
def client(
    local_ray: None, settings: GatewaySettings, waiting: WaitingSettings
) -> Iterator[openai.OpenAI]:
    serve.shutdown()  # Serve keeps the HTTP settings that it was started with
    with openai.OpenAI(
        base_url=open_gateway(gateway(settings, waiting), settings), api_key=KEY, max_retries=0
    ) as opened:
        yield opened
    serve.shutdown()


def test_the_built_in_target_answers(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="builtin:target",
        max_tokens=16,
        temperature=0,
        messages=[
            {"role": "system", "content": "Let's think step by step."},
            {"role": "user", "content": "Are there 2 apples?"},
        ],
    )
    assert reply.choices[0].message.content is not None
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0


def test_its_stream_is_its_whole_answer_in_pieces(client: openai.OpenAI) -> None:
    question = [{"role": "user", "content": APPLES}]
    ask = partial(
        client.chat.completions.create, model="builtin:target", messages=question, max_tokens=32
    )
    whole = ask()
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert len([text for text in texts if text]) > 1
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_a_list_of_prompts_is_answered_in_order(client: openai.OpenAI) -> None:
    prompts = ["One apple and", "Two pears and", "One apple and"]
    reply = client.completions.create(
        model="builtin:target", prompt=prompts, max_tokens=8, temperature=0
    )
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert reply.choices[0].text == reply.choices[2].text
    assert reply.usage is not None
    assert 0 < reply.usage.completion_tokens <= 24
    streamed = client.completions.create(
        model="builtin:target", prompt=prompts, max_tokens=8, temperature=0, stream=True
    )
    text_by_index = {0: "", 1: "", 2: ""}
    for chunk in streamed:
        text_by_index[chunk.choices[0].index] += chunk.choices[0].text
    assert list(text_by_index.values()) == [choice.text for choice in reply.choices]


def test_the_stand_in_says_what_it_is(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="builtin:optimizer", messages=[{"role": "user", "content": "Operator: vary\nHello."}]
    )
    assert "stand" in str(getattr(reply, "metadata", "")).lower()


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {
        "builtin:target",
        "builtin:optimizer",
        "scripted:waiting",
    }


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="builtin:target"):
        client.chat.completions.create(
            model="gpt", messages=[{"role": "user", "content": "Hello."}]
        )


def test_the_key_and_the_size_are_looked_at_behind_serves_own_proxy(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.APIStatusError) as refused:
        client.completions.create(model="builtin:target", prompt="x" * 20_000)
    assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")
    metrics = str(client.base_url).replace("/v1/", "/metrics")
    with pytest.raises(HTTPError, match="401"):
        urlopen(metrics)
    keyed = {"Authorization": f"Bearer {KEY}", "Host": "promptray-serve-svc:8000"}
    with urlopen(Request(metrics, headers=keyed)) as reply:
        assert b"promptray_door" in reply.read()
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(metrics, headers={**keyed, "Origin": "http://evil.example"}))


def test_a_port_that_serve_does_not_listen_on_is_said(
    client: openai.OpenAI,
    settings: GatewaySettings,
    waiting: WaitingSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.gateway.deployment.LISTENS_WITHIN_S", 1.0)  # it never will
    elsewhere = settings.model_copy(update={"port": free_port()})
    with pytest.raises(EndpointError, match="does not answer"):
        open_gateway(gateway(elsewhere, waiting), elsewhere)
    assert client.models.list().data


def test_a_caller_who_goes_away_cancels_the_work_in_the_models_replica(
    client: openai.OpenAI, waiting: WaitingSettings
) -> None:
    stream = client.chat.completions.create(
        model=waiting.label, stream=True, messages=[{"role": "user", "content": "one wait"}]
    )
    assert next(iter(stream)).choices[0].delta.role == "assistant"
    assert not waiting.mark.exists()
    stream.close()
    while not waiting.mark.exists():  # Serve tells the gateway and the model a moment later
        time.sleep(0.05)


def test_a_gateway_to_other_machines_wants_a_key_before_anything_is_started() -> None:
    public = GatewaySettings(host="0.0.0.0")
    with pytest.raises(SettingsError, match="API keys"):
        open_gateway(gateway(public), public)
    nameless = GatewaySettings(api_key_env="NO_KEY_OF_THIS_TEST")
    with pytest.raises(SettingsError, match="NO_KEY_OF_THIS_TEST"):
        open_gateway(gateway(nameless), nameless)


def test_a_replica_goes_by_the_address_that_serve_really_listens_on(
    local_ray: None, waiting: WaitingSettings
) -> None:
    # as a deployment file may have it, which the gateway's own settings know nothing of
    serve.shutdown()
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": "0.0.0.0", "port": free_port()},
        logging_config=QUIET,
    )
    private = GatewaySettings()
    try:
        with pytest.raises(
            SettingsError,
            match=r"^Other machines could use the models through 0\.0\.0\.0: [^\n]+\.$",
        ):
            open_gateway(gateway(private, waiting, models=()), private)
    finally:
        serve.shutdown()
