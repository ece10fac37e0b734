"""A Python function behind the prompt keeps the contract of engines, and its faults are its own."""

import asyncio
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from optimizer.errors import AccessError, SettingsError
from optimizer.types import Completion, Failed, Outcome
from serving.engines import Engine, EngineDied
from serving.engines.function import FunctionEngine, function_called
from serving.ledger.schema import key_of, request_of, request_text
from serving.models import load_engine, open_in_process
from serving.settings import FunctionSettings, parse_model
from tests.contracts.client_contract import ask
from tests.contracts.engine_contract import EngineContract

MODULE = "an_agent_of_a_test"
Define = Callable[[Callable[..., Any]], str]


@pytest.fixture
def define() -> Iterator[Define]:
    """Make a function importable, and return its reference."""
    module = sys.modules[MODULE] = ModuleType(MODULE)

    def defined(function: Callable[..., Any]) -> str:
        setattr(module, function.__name__, function)
        return f"{MODULE}:{function.__name__}"

    yield defined
    del sys.modules[MODULE]


def engine_of(function: Callable[..., Any], define: Define, **settings: Any) -> FunctionEngine:
    given = FunctionSettings(function=define(function), **({"attempts": 1} | settings))
    return FunctionEngine(given, function_called(given.function))


def echo(messages: list[dict[str, str]], example: dict[str, Any]) -> str:
    return f"Heard {messages[-1]['content']!r}."


async def echo_later(messages: list[dict[str, str]], example: dict[str, Any]) -> str:
    await asyncio.sleep(0)
    return echo(messages, example)


class TestFunction(EngineContract):
    @pytest.fixture
    def engine(self, define: Define) -> Engine:
        return engine_of(echo, define)


class TestAsyncFunction(EngineContract):
    @pytest.fixture
    def engine(self, define: Define) -> Engine:
        return engine_of(echo_later, define)


async def test_it_gets_messages_the_row_and_the_sampling_that_it_asks_for(define: Define) -> None:
    def answer(messages: Any, example: Any, sampling: Any) -> str:
        return repr((messages, example, sampling))

    request = replace(ask("Hello", sample=2, temperature=0.5), row={"docs": ["a"]})
    (outcome,) = await engine_of(answer, define).complete([request])
    assert isinstance(outcome, Completion)
    assert outcome.text == repr(
        (
            [{"role": "user", "content": "Hello"}],
            {"docs": ["a"]},
            {"temperature": 0.5, "max_tokens": 24, "sample": 2},
        )
    )


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ("yes", Completion("yes", prompt_tokens=None, completion_tokens=None)),
        ("", Completion("", prompt_tokens=None, completion_tokens=None)),
        (
            {"text": "yes", "prompt_tokens": 7, "completion_tokens": 1},
            Completion("yes", prompt_tokens=7, completion_tokens=1),
        ),
        (
            {"text": "ye", "truncated": True},
            Completion("ye", True, prompt_tokens=None, completion_tokens=None),
        ),
        (Completion("yes"), Completion("yes")),
    ],
)
async def test_what_it_gives_is_an_answer(given: Any, outcome: Outcome, define: Define) -> None:
    def answer(messages: Any, example: Any) -> Any:
        return given

    assert await engine_of(answer, define).complete([ask("Hello")]) == [outcome]


@pytest.mark.parametrize(
    "given", [None, 7, b"yes", {"answer": "yes"}, {"text": "yes", "prompt_tokens": -1}, {}]
)
async def test_what_is_no_answer_is_no_answer(given: Any, define: Define) -> None:
    def answer(messages: Any, example: Any) -> Any:
        return given

    (outcome,) = await engine_of(answer, define).complete([ask("Hello")])
    assert isinstance(outcome, Failed)
    assert outcome.kind == "infrastructure"
    assert "it must give the answer's text" in outcome.reason


@pytest.mark.parametrize("error", [ValueError("no luck"), SystemExit(3), KeyError("x")])
async def test_an_error_of_the_function_is_no_fault_of_a_prompt(
    error: BaseException, define: Define
) -> None:
    def answer(messages: Any, example: Any) -> str:
        if "2" in messages[-1]["content"]:
            raise error
        return "yes"

    first, second = await engine_of(answer, define).complete([ask("1"), ask("2")])
    assert isinstance(first, Completion)
    assert isinstance(second, Failed)
    assert (second.kind, type(error).__name__ in second.reason) == ("infrastructure", True)


async def test_a_call_that_fails_is_repeated(define: Define) -> None:
    calls = []

    def answer(messages: Any, example: Any) -> str:
        calls.append(messages)
        if len(calls) == 1:
            raise ConnectionError("gone")
        return "yes"

    (outcome,) = await engine_of(answer, define, attempts=2).complete([ask("Hello")])
    assert isinstance(outcome, Completion)
    assert len(calls) == 2


async def test_a_refused_key_ends_the_run(define: Define) -> None:
    def answer(messages: Any, example: Any) -> str:
        raise AccessError("The vendor refused the key.")

    with pytest.raises(AccessError):
        await engine_of(answer, define).complete([ask("Hello")])


async def test_no_more_calls_are_in_flight_than_the_settings_allow(define: Define) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def answer(messages: Any, example: Any) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return "yes"

    engine = engine_of(answer, define, max_in_flight=3)
    await engine.complete([ask(str(number)) for number in range(20)])
    assert 1 < most <= 3


async def test_a_function_that_hangs_is_late_and_ends_its_engine_at_last(
    define: Define,
) -> None:
    release = threading.Event()

    def answer(messages: Any, example: Any) -> str:
        release.wait(30)
        return "late"

    engine = engine_of(answer, define, max_in_flight=2, timeout_s=0.05)
    try:
        outcomes = await engine.complete([ask("1"), ask("2")])
        assert all(isinstance(one, Failed) and "within 0.05 s" in one.reason for one in outcomes)
        with pytest.raises(EngineDied, match="hang"):
            await engine.complete([ask("3")])
    finally:
        release.set()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("no_module_of_this_name:answer", "there is no module no_module_of_this_name"),
        ("json:no_function", "the module json has no no_function"),
        ("os:sep", "it is no function"),
        ("os.path:basename", "it does not take (messages, example)"),
    ],
)
def test_what_cannot_be_called_is_one_sentence(reference: str, words: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_engine(FunctionSettings(function=reference))
    assert words in str(refusal.value)


@pytest.mark.parametrize("line", ["python:", "python:module", "python:a b:c", "python:/tmp/x.py:f"])
def test_a_line_that_names_no_function_is_refused(line: str) -> None:
    with pytest.raises(SettingsError):
        parse_model(line)


async def test_it_is_the_model_of_a_line_and_travels(define: Define) -> None:
    settings = parse_model(f"python:{define(echo)}")
    assert isinstance(settings, FunctionSettings)
    assert pickle.loads(pickle.dumps(settings)) == settings
    (outcome,) = await open_in_process(settings).complete([ask("Hello")])
    assert isinstance(outcome, Completion)
    assert outcome.text == "Heard 'Hello'."


def test_another_revision_is_another_model() -> None:
    named = [
        FunctionSettings(function="a:b", **given).identity
        for given in ({}, {"revision": "1"}, {"code_revision": "1"}, {"attempts": 9})
    ]
    assert len(set(named)) == 3
    assert named[0] == named[3] == "python:a:b"


def test_the_row_is_a_part_of_the_ledgers_key_only_where_there_is_one() -> None:
    plain = ask("Hello")
    rows = [replace(plain, row=row) for row in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2}, {})]
    keys = [key_of("python:a:b", request) for request in (plain, *rows)]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 4
    assert "row" not in request_text(plain)
    for request in (plain, *rows):
        assert request_of(request_text(request)) == replace(request, purpose="learn")
