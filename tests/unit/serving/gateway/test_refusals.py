"""A scripted server, through the real gateway and the real client: each kind of answer arrives as
the kind that it left as.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from optimizer.types import Completion, Failed, Outcome
from serving.clients.openai_model import OpenAIModel
from serving.clients.probe import PROBE
from serving.concurrency.retrying import Retry
from serving.contracts.refusals import Declined
from serving.engines.scripted import ScriptedEngine
from serving.settings import OpenAISettings
from serving.settings.script import Script
from tests.contracts.client_contract import ask
from tests.unit.serving.gateway.conftest import Gateway, OpenGateway

REPLIES: dict[str, dict[str, Any]] = {
    "whole": {"text": "Answer: 7"},
    "cut": {"text": "Let me", "finish": "length"},
    "empty": {"text": ""},
    "cut before it began": {"text": "", "finish": "length"},
    "refusal": {"refusal": "I will not."},
    "filter": {"refusal": "It is vile.", "finish": "content_filter"},
    "policy": {"refusal": "Too long.", "finish": "error"},
    "broken": {"failure": "The wire is cut."},
}
YES = {"text": "Yes."}
"""The answer to a probe."""
ARRIVES: dict[str, Outcome] = {
    "whole": Completion("Answer: 7", False, 1, 2),
    "cut": Completion("Let me", True, 1, 2),
    "empty": Completion("", False, 1, 0),
    "cut before it began": Completion("", True, 4, 0),
    "refusal": Declined("refused", "I will not."),
    "filter": Declined("refused", "The endpoint's content filter stopped the answer.", "filter"),
}
SCRIPT = Script.model_validate(
    {
        "rules": [
            {"match": f"^{name}$", "replies": [reply]}
            for name, reply in {**REPLIES, PROBE.messages[0].content: YES}.items()
        ]
    }
)


@pytest.fixture
async def scripted(open_gateway: OpenGateway) -> Gateway:
    return await open_gateway(ScriptedEngine("scripted:test", SCRIPT))


@pytest.fixture
async def client(scripted: Gateway) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel(
        OpenAISettings(model="echo", base_url=f"{scripted.address}/v1"), "no-key", Retry(attempts=1)
    )
    yield model
    await model.aclose()


@pytest.mark.parametrize("name", ARRIVES)
async def test_an_answer_arrives_as_what_it_is_whole_and_in_pieces(
    client: OpenAIModel, name: str
) -> None:
    (outcome,) = await client.complete([ask(name)])
    assert (outcome, type(outcome)) == (ARRIVES[name], type(ARRIVES[name]))
    *texts, streamed = [piece async for piece in client.stream(ask(name))]
    assert streamed == outcome
    assert "".join(map(str, texts)) == (outcome.text if isinstance(outcome, Completion) else "")


async def test_what_is_an_error_in_place_of_a_reply_is_a_refusal_or_a_failure(
    client: OpenAIModel,
) -> None:
    outcomes = await client.complete([ask("whole"), ask("policy"), ask("broken")])
    kinds = [outcome.kind for outcome in outcomes if isinstance(outcome, Failed)]
    assert kinds == ["refused", "infrastructure"]
    assert not any(isinstance(outcome, Declined) for outcome in outcomes)


async def test_a_refusal_is_said_as_openai_says_it(scripted: Gateway) -> None:
    refused = await scripted.chat("refusal")
    assert refused.status == 200
    (choice,) = refused.json["choices"]
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": "I will not."}
    assert (choice["finish_reason"], refused.json["usage"]["total_tokens"]) == ("stop", 0)
    (filtered,) = (await scripted.chat("filter")).json["choices"]
    assert filtered["finish_reason"] == "content_filter"
    assert filtered["message"] == {"role": "assistant", "content": "", "refusal": None}
    policy = await scripted.chat("policy")
    assert (policy.status, policy.code, policy.message) == (400, "request_refused", "Too long.")


async def test_one_refused_prompt_of_many_leaves_the_others_their_answers(
    scripted: Gateway,
) -> None:
    answers = (await scripted.complete(["whole", "refusal", "cut"])).json
    assert [(one["text"], one["finish_reason"]) for one in answers["choices"]] == [
        ("Answer: 7", "stop"),
        ("", "content_filter"),
        ("Let me", "length"),
    ]
    assert answers["usage"]["completion_tokens"] == 4


async def test_answers_are_counted_by_why_they_ended(scripted: Gateway) -> None:
    for name in ("whole", "empty", "cut", "refusal", "refusal", "filter"):
        await scripted.chat(name)
    metrics = await scripted.metrics()
    for ended, number in {"stop": 2, "length": 1, "refusal": 2, "content_filter": 1}.items():
        assert f'promptray_door_answers_total{{ended="{ended}",model="echo"}} {number}.0' in metrics
