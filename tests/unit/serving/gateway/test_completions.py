"""/v1/completions: texts that are continued as they stand, one choice each, in one batch."""

from typing import Any

import pytest

from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Message, Request, Sampling
from serving.gateway.request_bodies import MAX_CHARACTERS, MAX_PROMPTS
from tests.unit.serving.gateway.conftest import Gateway, OpenGateway, script


async def test_a_text_goes_to_the_model_as_it_is(open_gateway: OpenGateway) -> None:
    model = ScriptedModel(script)
    reply = await (await open_gateway(model)).complete("Once upon", temperature=0.5, seed=2)
    assert model.batches == [
        (Request((Message("user", "Once upon"),), Sampling(0.5, 16), sample=2, raw=True),)
    ]
    assert reply.json["object"] == "text_completion"
    assert reply.json["choices"] == [
        {"index": 0, "text": "0.5 16 2 Once upon", "logprobs": None, "finish_reason": "stop"}
    ]


async def test_prompts_are_one_batch_and_one_choice_each_in_order(
    open_gateway: OpenGateway,
) -> None:
    model = ScriptedModel(
        lambda request: Completion(
            request.messages[0].content.upper(), False, 3, 2, cached_tokens=1
        )
    )
    reply = await (await open_gateway(model)).complete(["a", "b", "a"])
    assert [(choice["index"], choice["text"]) for choice in reply.json["choices"]] == [
        (0, "A"),
        (1, "B"),
        (2, "A"),
    ]
    assert [len(batch) for batch in model.batches] == [3]
    assert reply.json["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 6,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 3},
    }


async def test_an_answer_that_was_cut_says_so(gateway: Gateway) -> None:
    assert [
        choice["finish_reason"]
        for choice in (await gateway.complete(["cut", "whole"])).json["choices"]
    ] == ["length", "stop"]


@pytest.mark.parametrize(
    ("prompts", "status", "code"),
    [
        (["a", "refuse"], 400, "request_refused"),
        (["a", "fail"], 503, "model_failed"),
        ("refuse", 400, "request_refused"),
    ],
)
async def test_one_prompt_that_fails_fails_them_all(
    gateway: Gateway, prompts: Any, status: int, code: str
) -> None:
    reply = await gateway.complete(prompts)
    assert (reply.status, reply.code) == (status, code)
    assert reply.message.startswith("Prompt 1: ") == isinstance(prompts, list)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"] * (MAX_PROMPTS + 1)}, "prompt"),
        ({"prompt": ["a", "x" * (MAX_CHARACTERS + 1)]}, "too long"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"suffix": "end"}, "suffix"),
        ({"stop": ["."]}, "stop"),
    ],
)
async def test_what_is_not_carried_out_is_refused(
    gateway: Gateway, change: dict[str, Any], says: str
) -> None:
    reply = await gateway.complete(**change)
    assert reply.status == 400
    assert says in reply.message


async def test_the_longest_list_of_prompts_is_answered(gateway: Gateway) -> None:
    assert len((await gateway.complete(["a"] * MAX_PROMPTS)).json["choices"]) == MAX_PROMPTS
