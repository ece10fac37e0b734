"""`openai.OpenAI(base_url=...)` gets answers from built-in models, through a real door on a real Ray."""

import socket
from collections.abc import Iterator

import openai
import pytest

from serving.deployment import shut_down
from serving.openai_api import serve_models
from serving.settings import OptimizerSettings, TargetSettings

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture(scope="module")
def client(local_ray: None) -> Iterator[openai.OpenAI]:
    shut_down()  # Serve keeps the HTTP settings that it was started with
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with openai.OpenAI(base_url=serve_models([OptimizerSettings(), TargetSettings()], port=port), api_key="any") as opened:
        yield opened
    shut_down()


def test_the_built_in_target_answers(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="builtin:target", max_tokens=16, temperature=0,
        messages=[{"role": "system", "content": "Let's think step by step."}, {"role": "user", "content": "Are there 2 apples?"}])
    assert reply.choices[0].message.content is not None
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0


def test_the_stand_in_says_what_it_is(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="builtin:optimizer", messages=[{"role": "user", "content": "Operator: vary\nHello."}])
    assert "stand" in str(getattr(reply, "metadata", "")).lower()


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"builtin:target", "builtin:optimizer"}


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="builtin:target"):
        client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "Hello."}])
