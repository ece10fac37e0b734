"""Before anything is spent each model is asked in every form in which trials will ask it; what it
refuses is quoted once.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cluster.apply import apply_prompt
from cluster.config.experiment import ExperimentSettings
from cluster.diagnosis.preparation import questions_of as questions_of_a_diagnosis
from cluster.diagnosis.settings import DiagnosisSettings
from cluster.experiment.preflight import check_models, questions_of
from optimizer.errors import AccessError, EndpointError, PromptrayError
from optimizer.prompt import Prompt
from optimizer.types import Request
from tests.contracts.hurry import hurried_probes

REMOTE = "openai:m@http://127.0.0.1:1/v1"


def experiment(**changes: Any) -> ExperimentSettings:
    return ExperimentSettings.model_validate(
        {"tasks": ["navigate"], "strategies": ["apo"]} | changes
    )


def forms(asked: tuple[tuple[Any, Request], ...]) -> list[tuple[str, str, float, int, int]]:
    return [
        (
            model.label,
            "".join(message.role[0] for message in request.messages),
            request.sampling.temperature,
            request.sampling.max_tokens,
            request.sample,
        )
        for model, request in asked
    ]


def test_a_run_asks_as_its_trials_do() -> None:
    settings = experiment(
        target=REMOTE,
        optimizer=REMOTE,
        sampling={"max_tokens": 300},
        strategies=[
            "apo",
            {"name": "apo", "label": "twin"},
            {"name": "opro", "settings": {"max_tokens": 700}},
        ],
    )
    assert forms(questions_of(settings)) == [
        ("openai:m", "su", 0.0, 300, 0),
        ("openai:m", "u", 0.7, 1024, 1),
        ("openai:m", "u", 1.0, 700, 1),
    ]
    assert ("openai:m", "su", 0.7, 300, 1) in forms(questions_of(settings, repeated=True))


def test_a_search_asks_at_the_ends_of_what_it_may_try() -> None:
    space = {
        "sampling.max_tokens": [64, 256],
        "sampling.temperature": {"float": [0.2, 0.8]},
        "strategy.temperature": [0.5],
        "optimizer": [REMOTE, "openai:n@http://127.0.0.1:1/v1"],
    }
    settings = experiment(target=REMOTE, search={"space": space, "trials": 4})
    assert forms(questions_of(settings)) == [
        ("openai:m", "su", 0.2, 256, 0),
        ("openai:m", "su", 0.8, 256, 0),
        ("openai:m", "u", 0.5, 1024, 1),
        ("openai:n", "u", 0.5, 1024, 1),
    ]


def test_a_models_own_limit_stands_for_all_and_what_it_is_not_told_makes_no_form() -> None:
    own = {
        "kind": "openai",
        "model": "m",
        "base_url": "http://127.0.0.1:1/v1",
        "max_tokens": 4000,
        "send_temperature": False,
    }
    settings = experiment(optimizer=own, strategies=["apo", "opro", "iterative_ape"])
    assert len([model for model, _ in questions_of(settings) if model.label == "openai:m"]) == 1


def test_a_diagnosis_asks_as_its_measures_do() -> None:
    models = {"target": REMOTE, "optimizer": REMOTE}
    settings = DiagnosisSettings.of(
        {"tasks": ["navigate"], "reflection": {"max_tokens": 99}} | models
    )
    assert forms(questions_of_a_diagnosis(settings)) == [
        ("openai:m", "su", 0.0, 512, 0),
        ("openai:m", "u", 0.7, 99, 1),
        ("openai:m", "u", 0.7, 1024, 1),
    ]


@contextmanager
def endpoint(refuses: Any) -> Iterator[str]:
    """`refuses`: body -> (status, message), or None for an answer."""
    whole = {
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Yes."},
            }
        ]
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            refused = refuses(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            content = json.dumps({"error": {"message": refused[1]}} if refused else whole).encode()
            self.send_response(refused[0] if refused else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, hurried_probes():
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()


def asked(base_url: str) -> None:
    model = {"kind": "openai", "model": "m", "base_url": base_url, "retry_s": 0.1, "attempts": 1}
    settings = experiment(
        target=model, optimizer=model, strategies=["apo", "opro", "iterative_ape"]
    )
    asyncio.run(check_models(questions_of(settings)))


def test_both_models_reasons_are_told_each_once() -> None:
    def refuses(body: dict[str, Any]) -> tuple[int, str] | None:
        if body["messages"][0]["role"] == "system":
            return 400, "System role not supported"
        return (422, "seed: Extra inputs are not permitted") if "seed" in body else None

    with endpoint(refuses) as base_url, pytest.raises(EndpointError) as caught:
        asked(base_url)
    for words, mend in (
        ("System role not supported", "system_role: user"),
        ("Extra inputs", "send_seed: false"),
    ):
        assert str(caught.value).count(words) == str(caught.value).count(mend) == 1


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_no_access_and_no_balance_end_it(status: int) -> None:
    with endpoint(lambda _: (status, "Not you.")) as base_url, pytest.raises(AccessError) as caught:
        asked(base_url)
    assert str(caught.value).count("Not you.".rstrip(".")) == 1


@pytest.mark.parametrize("status", [400, 402, 403, 422])
def test_apply_says_the_endpoints_words_once_and_never_the_key(
    tmp_path: Path,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-this-test")
    prompt = tmp_path / "prompt.json"
    prompt.write_text(json.dumps(Prompt("Add.").to_json()))
    with (
        endpoint(lambda _: (status, "Not with sk-of-this-test, friend")) as base_url,
        pytest.raises(PromptrayError) as caught,
    ):
        asyncio.run(apply_prompt(prompt, "1 + 1?", f"openai:m@{base_url}"))
    assert str(caught.value).count("Not with [key], friend") == 1
    assert "sk-of" not in str(caught.value)


def test_an_endpoint_that_answers_all_forms_passes() -> None:
    with endpoint(lambda _: None) as base_url:
        asked(base_url)
