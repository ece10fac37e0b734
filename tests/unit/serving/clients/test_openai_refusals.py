"""Whose is a refusal, the request's or the endpoint's, and do its words reach whoever can mend it:
never with the key.
"""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from optimizer.errors import AccessError, EndpointError, PromptrayError
from optimizer.types import Completion, Failed, Message, Request, Sampling
from serving.clients.openai_model import OpenAIModel
from serving.clients.openai_rejections import STREAK
from serving.clients.probe import question_like, reach
from serving.settings import OpenAISettings
from tests.contracts.client_contract import ask
from tests.unit.serving.clients import test_openai_http
from tests.unit.serving.clients.test_openai_http import KEY, Connect, echo, problem, reply

connect = test_openai_http.connect  # a fixture
Handler = Callable[[dict[str, Any]], web.Response]
AS_TARGET = Request((Message("system", "s"), Message("user", "u")), Sampling(0.0, 512))
AS_OPTIMIZER = Request((Message("user", "u"),), Sampling(0.7, 1024), sample=3)


def bad(message: Any, status: int = 400, **more: Any) -> web.Response:
    return web.json_response({"error": {"message": message, **more}}, status=status)


def no_system(body: dict[str, Any]) -> web.Response:
    if any(message["role"] == "system" for message in body["messages"]):
        return web.json_response(
            {"object": "error", "message": "System role not supported", "code": 400}, status=400
        )
    return echo(body)


def no_seed(body: dict[str, Any]) -> web.Response:
    if "seed" not in body:
        return echo(body)
    detail = [
        {
            "type": "extra_forbidden",
            "loc": ["body", "seed"],
            "msg": "Extra inputs are not permitted",
            "input": body["seed"],
        }
    ]
    return web.json_response({"object": "error", "message": {"detail": detail}}, status=422)


def like_gpt5(body: dict[str, Any]) -> web.Response:
    if "max_tokens" in body:
        return bad(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            code="unsupported_parameter",
            param="max_tokens",
        )
    if body.get("temperature", 1) != 1:
        return bad(
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the "
            "default (1) is supported.",
            code="unsupported_value",
            param="temperature",
        )
    return echo(body)


def small_context(body: dict[str, Any]) -> web.Response:
    if body["max_tokens"] > 256:
        return bad(
            f"'max_tokens' or 'max_completion_tokens' is too large: {body['max_tokens']}. This "
            "model's maximum context "
            "length is 300 tokens and your request has 60 input tokens.",
            code=400,
        )
    return echo(body)


@pytest.mark.parametrize(
    ("handler", "asked", "words", "mends"),
    [
        (no_system, AS_TARGET, "System role not supported", "system_role: user"),
        (no_seed, AS_OPTIMIZER, "seed: Extra inputs are not permitted", "send_seed: false"),
        (
            like_gpt5,
            AS_OPTIMIZER,
            "'max_tokens' is not supported",
            "max_tokens_field: max_completion_tokens, send_temperature: false}",
        ),
        (small_context, AS_TARGET, "is too large: 512", "lower max_tokens"),
    ],
)
async def test_the_check_before_a_run_sends_what_trials_send_and_names_the_fix(
    connect: Connect,
    handler: Handler,
    asked: Request,
    words: str,
    mends: str,
) -> None:
    model = await connect(handler)
    with pytest.raises(EndpointError) as caught:
        await reach(model, question_like(asked))
    assert words in str(caught.value)
    assert mends in str(caught.value)
    assert str(caught.value).count(words) == 1


@pytest.mark.parametrize(
    ("handler", "asked", "settings"),
    [
        (no_system, AS_TARGET, {"system_role": "user"}),
        (no_seed, AS_OPTIMIZER, {"send_seed": False}),
        (
            like_gpt5,
            AS_OPTIMIZER,
            {"max_tokens_field": "max_completion_tokens", "send_temperature": False},
        ),
    ],
)
async def test_what_it_advises_helps(
    connect: Connect, handler: Handler, asked: Request, settings: dict[str, Any]
) -> None:
    model = await connect(handler, **settings)
    await reach(model, question_like(asked))
    (outcome,) = await model.complete([asked])
    assert isinstance(outcome, Completion)


async def test_without_a_system_role_the_instruction_precedes_the_user_message(
    connect: Connect,
) -> None:
    bodies: list[dict[str, Any]] = []
    model = await connect(
        lambda body: bodies.append(body) or echo(body), system_role="user", send_seed=False
    )  # type: ignore[func-returns-value]
    shown = (
        Message("system", "Add."),
        Message("user", "1 + 1?"),
        Message("assistant", "2"),
        Message("user", "2 + 2?"),
    )
    await model.complete([Request(shown, Sampling(0.0, 9), sample=4)])
    assert bodies == [
        {
            "model": "m",
            "temperature": 0.0,
            "max_tokens": 9,
            "messages": [
                {"role": "user", "content": "Add.\n\n1 + 1?"},
                {"role": "assistant", "content": "2"},
                {"role": "user", "content": "2 + 2?"},
            ],
        }
    ]


def test_how_it_is_asked_is_part_of_the_identity() -> None:
    plain = OpenAISettings(model="m", base_url="http://x/v1")
    changes: list[dict[str, Any]] = [
        {"system_role": "user"},
        {"system_role": "developer"},
        {"send_seed": False},
    ]
    changed = [plain.model_copy(update=change) for change in changes]
    assert plain.identity == "openai:m@http://x/v1"
    assert len({one.identity for one in [plain, *changed]}) == 4


@pytest.mark.parametrize(
    ("status", "code"), [(402, ""), (429, "insufficient_quota"), (403, "billing_not_active")]
)
async def test_without_a_balance_it_ends_at_once_and_says_so(
    connect: Connect, status: int, code: str
) -> None:
    model = await connect(lambda _: problem(status, code, "Insufficient Balance"))
    for asking in (reach(model, question_like(AS_TARGET)), model.complete([AS_TARGET])):
        with pytest.raises(AccessError, match=r"no balance.*Insufficient Balance"):
            await asking


BLOCKED = "<html><body>Request blocked</body></html>"
FLAGGED = 'm requires moderation. Your input was flagged for "violence". No credits were charged.'


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda: bad(FLAGGED, 403, code=403, metadata={"reasons": ["violence"]}), "refused"),
        (lambda: bad("Content Exists Risk", 400), "refused"),
        (
            lambda: bad(
                "The response was filtered due to the prompt triggering the content management "
                "policy.",
                400,
            ),
            "refused",
        ),
        (
            lambda: bad(
                "This model's maximum context length is 64 tokens. However, you requested 700 "
                "tokens.",
                400,
                code=400,
            ),
            "refused",
        ),
        (
            lambda: web.json_response(
                {"error": "`inputs` must have less than 1024 tokens."}, status=422
            ),
            "refused",
        ),
        (
            lambda: web.Response(text=BLOCKED, content_type="text/html", status=403),
            "infrastructure",
        ),
        (
            lambda: bad("No endpoints found matching your data policy", 404, code=404),
            "infrastructure",
        ),
        (lambda: bad({"odd": [1]}, 400, code=["unhashable"]), "infrastructure"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
async def test_one_refusal_among_answers_concerns_its_item_alone(
    connect: Connect,
    answer: Callable[[], web.Response],
    kind: str,
    first: bool,
) -> None:
    model = await connect(lambda body: answer() if "7 plus" in str(body) else echo(body))
    if not first:
        await model.complete([ask("a")])
    lost, kept = await model.complete([ask("What is 7 plus 2?"), ask("What is 8 plus 2?")])
    assert isinstance(lost, Failed)
    assert (lost.kind, type(kept)) == (kind, Completion)
    assert lost.reason


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (403, AccessError, "OPENAI_API_KEY"),
        (404, AccessError, "'m'"),
        (400, EndpointError, "It has changed"),
    ],
)
async def test_a_streak_without_an_answer_is_the_endpoints(
    connect: Connect,
    status: int,
    error: type[PromptrayError],
    says: str,
) -> None:
    calls = 0

    def handler(body: dict[str, Any]) -> web.Response:
        nonlocal calls
        calls += 1
        return echo(body) if calls <= 3 else problem(status, "", "It has changed.")

    model = await connect(handler)
    with pytest.raises(error, match=says):
        await _one_after_the_other(model, 3 * STREAK)
    assert calls <= 3 + STREAK + 1


async def _one_after_the_other(model: OpenAIModel, calls: int) -> None:
    for number in range(calls):
        await model.complete([ask(f"question {number}")])


async def test_a_streak_of_refusals_of_one_prompt_ends_no_run(
    connect: Connect,
) -> None:
    model = await connect(
        lambda body: problem(403, "", "Blocked.") if "bad" in str(body) else echo(body)
    )
    outcomes = await model.complete([ask(f"bad {number}") for number in range(3 * STREAK)])
    assert all(isinstance(outcome, Failed) for outcome in outcomes)
    assert isinstance((await model.complete([ask("good")]))[0], Completion)


@pytest.mark.parametrize("asked", [AS_TARGET, AS_OPTIMIZER])
async def test_an_endpoint_that_refuses_the_form_of_all_calls_is_an_error(
    connect: Connect,
    asked: Request,
) -> None:
    model = await connect(no_system if asked is AS_TARGET else no_seed)
    await model.complete([ask("a")])
    with pytest.raises(EndpointError, match=r"System role|seed"):
        await model.complete([asked] * 2)


async def test_a_rejected_stream_ends_with_the_reason(
    connect: Connect,
) -> None:
    model = await connect(lambda body: bad("Blocked.", 400) if "bad" in str(body) else echo(body))
    (ended,) = [piece async for piece in model.stream(ask("bad"))]
    assert isinstance(ended, Failed)
    assert "Blocked" in ended.reason
    misset = await connect(no_system)
    with pytest.raises(EndpointError, match="System role not supported"):
        [piece async for piece in misset.stream(AS_TARGET)]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Provider returned error: upstream overloaded", "code": 502}},
        {"error": "Provider returned error: upstream overloaded"},
        {
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "error",
                    "message": {"role": "assistant", "content": ""},
                    "error": {
                        "code": 429,
                        "message": "Provider returned error: upstream overloaded",
                    },
                }
            ]
        },
    ],
)
async def test_an_error_in_an_answers_place_keeps_its_words(
    connect: Connect, body: dict[str, Any]
) -> None:
    model = await connect(lambda _: web.json_response(body))
    with pytest.raises(EndpointError, match="Provider returned error: upstream overloaded"):
        await reach(model)
    with pytest.raises(EndpointError, match="Provider returned error: upstream overloaded"):
        await model.complete([ask("a")])


async def test_an_error_in_place_of_an_answer_counts_by_its_status(
    connect: Connect,
) -> None:
    model = await connect(
        lambda body: (
            web.json_response({"error": {"message": FLAGGED, "code": 403}})
            if "bad" in str(body)
            else echo(body)
        )
    )
    (outcome,) = await model.complete([ask("bad")])
    assert isinstance(outcome, Failed)
    assert (outcome.kind, "flagged" in outcome.reason) == ("refused", True)
    unpaid = await connect(
        lambda _: web.json_response({"error": {"message": "Insufficient credits", "code": 402}})
    )
    with pytest.raises(AccessError, match="Insufficient credits"):
        await unpaid.complete([ask("a")])


@pytest.mark.parametrize("finish", [None, "", "eos_token", "end_turn", "COMPLETE"])
async def test_a_whole_answer_is_read_however_its_end_is_spelt(
    connect: Connect, finish: Any
) -> None:
    model = await connect(lambda _: reply("Answer: 3", finish))
    assert await model.complete([ask("a")]) == [Completion("Answer: 3", False, 7, 3)]


@pytest.mark.parametrize("finish", ["MAX_TOKENS", "model_length", "max_output_tokens"])
async def test_a_cut_answer_is_cut_however_that_is_spelt(connect: Connect, finish: str) -> None:
    model = await connect(lambda _: reply("Let me", finish))
    assert await model.complete([ask("a")]) == [Completion("Let me", True, 7, 3)]


async def test_an_empty_answer_says_where_its_text_is(connect: Connect) -> None:
    model = await connect(lambda _: reply(None, reasoning_content="1 + 2 is 3. Answer: 3"))
    (outcome,) = await model.complete([ask("a")])
    assert isinstance(outcome, Completion)
    assert (outcome.text, "reasoning_content" in outcome.metadata["empty"]) == ("", True)


async def test_a_call_of_a_tool_is_a_refusal_in_words(connect: Connect) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    model = await connect(lambda _: reply(None, "tool_calls", tool_calls=[call]))
    (outcome,) = await model.complete([ask("a")])
    assert isinstance(outcome, Failed)
    assert "tool" in outcome.reason


@pytest.mark.parametrize("status", [400, 401, 403, 404, 402, 429, 500])
async def test_no_words_show_a_key_nor_command_a_terminal(connect: Connect, status: int) -> None:
    said = (
        f"Wrong key {KEY}; Bearer abcdefgh12345678; upstream sk-proj-0123456789abcdef.\x1b[31m\x07 "
        f"{'x' * 5000}"
    )
    model = await connect(lambda _: web.json_response({"error": {"message": said}}, status=status))
    with pytest.raises(PromptrayError) as caught:
        await model.complete([ask("a")])
    told = str(caught.value)
    assert "Wrong key" in told
    assert not any(
        secret in told for secret in (KEY, "abcdefgh12345678", "0123456789abcdef", "\x1b", "\x07")
    )
    assert len(told) < 1000


async def test_a_model_of_ours_is_asked_without_ado(connect: Connect) -> None:
    """`reach` without a question stays what it was."""
    model: OpenAIModel = await connect(echo)
    await reach(model)
