"""Where a key goes: an address that cannot be read is refused, and never replaced by another one."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.apply import apply_prompt
from cluster.config.experiment import ExperimentSettings
from cluster.diagnosis.settings import DiagnosisSettings
from cluster.experiment.prepare import as_yaml, models_of
from cluster.service.client import ServiceClient
from optimizer.errors import AccessError, EndpointError, SettingsError
from optimizer.types import Completion, Message, Request
from serving.application import validated
from serving.clients.openai_model import OpenAIModel
from serving.models import open_in_process
from serving.settings import OpenAISettings, parse_model

OPENAI = "https://api.openai.com/v1"
GOOD: dict[str, Any] = {
    "tasks": ["navigate"],
    "strategies": ["apo"],
    "sizes": {"train": 2, "dev": 2, "test": 3},
}
UNREADABLE = [
    "openai:m@127.0.0.1:8000/v1",
    "openai:m@ http://127.0.0.1:8000/v1",
    "openai:m@localhost:8000/v1",
    "openai:m@//127.0.0.1/v1",
    "openai:m@http:/127.0.0.1/v1",
    "openai:m@http//127.0.0.1/v1",
    "openai:m@ftp://127.0.0.1/v1",
    "openai:m@http://",
    "openai:m@",
    "openai:m@http://127.0.0.1:port/v1",
    "openai:m@http://127.0.0.1:99999/v1",
    "openai:m@http://127.0.0.1:0/v1",
    "openai:m@v2",
    "openai:m@http://127.0.0.1/v1#part",
    "openai:m@http://127.0.0.1/v1?key=1",
    "openai:m@http://me:pw@127.0.0.1/v1",
    "openai:m@http://me@127.0.0.1/v1",
    "openai:m@http://127.0.0.1 /v1",
    "openai:m@http://127.0.0.1/v1 x",
    "openai:m@http://a\\b/v1",
    "openai:m@http://127.0.0.1\x00/v1",
    "openai:m@http://größe.example/v1",
    "openai:m@http://[::1/v1",
    "openai:m@http://[nonsense]/v1",
    "openai:m@https://https://a.example/v1",
    "openai:m@http://a.example,b.example/v1",
    "openai:m http://127.0.0.1:8000/v1",
    "openai:http://127.0.0.1:8000/v1",
    "openai:127.0.0.1:8000/v1",
    "openai: ",
    "openai:m n",
    "openai:m\u00a0@http://127.0.0.1/v1",
    "openai:@http://127.0.0.1/v1",
]


@pytest.mark.parametrize("line", UNREADABLE)
def test_an_address_that_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_model(line)
    said = str(caught.value)
    assert "\n" not in said
    assert "pw" not in said
    assert "key=1" not in said


@pytest.mark.parametrize(
    "url", [line.partition("@")[2] for line in UNREADABLE if line.startswith("openai:m@")]
)
def test_an_address_in_a_mapping_is_as_strict(url: str) -> None:
    with pytest.raises(SettingsError):
        parse_model({"kind": "openai", "model": "m", "base_url": url})


@pytest.mark.parametrize(
    ("line", "model", "base_url"),
    [
        ("openai:m@HTTP://127.0.0.1:8000/v1", "m", "http://127.0.0.1:8000/v1"),
        ("openai:m@Https://a.example/v1/", "m", "https://a.example/v1"),
        ("openai:org/m@v2@http://a.example", "org/m@v2", "http://a.example"),
        ("openai:m@http://[::1]:8000/v1", "m", "http://[::1]:8000/v1"),
        ("openai:ft:gpt-4o:org::id", "ft:gpt-4o:org::id", OPENAI),
        ("openai:llama3:8b", "llama3:8b", OPENAI),
    ],
)
def test_an_address_that_can_be_read_is_taken(line: str, model: str, base_url: str) -> None:
    assert parse_model(line) == OpenAISettings(model=model, base_url=base_url)


@given(st.text(alphabet="htps:/@ .8v1#?%[]\\\t-aO", max_size=30))
def test_no_line_with_an_at_sign_goes_to_the_default(rest: str) -> None:
    try:
        model = parse_model(f"openai:m@{rest}")
    except SettingsError:
        return
    assert isinstance(model, OpenAISettings)
    assert model.base_url != OPENAI
    assert model.base_url.startswith(("http://", "https://"))


def test_an_azure_address_is_told_which_one_works() -> None:
    with pytest.raises(SettingsError, match="/openai/v1"):
        parse_model(
            "openai:m@https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21"
        )


# --- OPENAI_BASE_URL -------------------------------------------------------------------------------------------------------------

ELSEWHERE = "http://127.0.0.1:1/v1"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{ELSEWHERE}/")


def urls(settings: ExperimentSettings) -> list[str]:
    return [model.base_url for model in models_of(settings) if isinstance(model, OpenAISettings)]


@pytest.mark.usefixtures("elsewhere")
def test_openai_base_url_is_read_once_and_travels_with_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = GOOD | {
        "target": "openai:m",
        "optimizer": {"kind": "openai", "model": "o"},
        "search": {
            "space": {
                "optimizer": ["openai:p", "openai:q@http://a.example/v1", "builtin:optimizer"]
            }
        },
    }
    settings = ExperimentSettings.model_validate(given)
    monkeypatch.delenv("OPENAI_BASE_URL")  # as on a worker
    assert urls(settings) == [ELSEWHERE, ELSEWHERE, "http://a.example/v1"]
    assert settings.target_model.identity == f"openai:m@{ELSEWHERE}"
    assert settings.optimizer_model.identity == f"openai:o@{ELSEWHERE}"
    file = tmp_path / "settings.yaml"
    file.write_text(as_yaml(settings))
    assert urls(ExperimentSettings.read(file)) == [ELSEWHERE, ELSEWHERE, "http://a.example/v1"]


@pytest.mark.usefixtures("elsewhere")
def test_what_a_run_has_recorded_stays_where_it_was() -> None:
    before = GOOD | {"target": "openai:m", "recorded": {"versions": {}}}
    assert urls(ExperimentSettings.model_validate(before)) == [OPENAI]


@pytest.mark.usefixtures("elsewhere")
def test_every_way_in_reads_openai_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    diagnosis = DiagnosisSettings.of({"tasks": ["navigate"], "target": "openai:m"})
    served = validated({"models": ["openai:m", "builtin:target"], "door": {}})
    monkeypatch.delenv("OPENAI_BASE_URL")
    for model in (diagnosis.target_model, served.parsed[0]):
        assert isinstance(model, OpenAISettings)
        assert model.base_url == ELSEWHERE


def test_without_it_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", " ")
    settings = ExperimentSettings.model_validate(GOOD | {"target": "openai:m"})
    assert settings.target == "openai:m"
    assert urls(settings) == [OPENAI]


def test_an_openai_base_url_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "127.0.0.1:8000/v1")
    with pytest.raises(ValueError, match="OPENAI_BASE_URL"):
        ExperimentSettings.model_validate(GOOD | {"target": "openai:m"})
    assert ExperimentSettings.model_validate(GOOD | {"target": f"openai:m@{ELSEWHERE}"})


# --- what goes along with a call --------------------------------------------------------------------------------------------------


class Listener:
    """An endpoint that keeps the headers of what it is asked."""

    def __init__(self) -> None:
        seen: list[dict[str, str]] = []
        body = json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": "m",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": "yes"},
                    }
                ],
            }
        ).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.seen = seen
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


async def ask(settings: OpenAISettings) -> str:
    model = open_in_process(settings)
    assert isinstance(model, OpenAIModel)
    try:
        (outcome,) = await model.complete([Request((Message("user", "?"),))])
    finally:
        await model.aclose()
    return outcome.text if isinstance(outcome, Completion) else outcome.reason


async def test_variables_of_openais_package_go_to_its_own_address_alone(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: of-mine")
    settings = OpenAISettings(model="m", base_url=listener.base_url, attempts=1, outage_s=0)
    assert await ask(settings) == "yes"
    assert "of-mine" not in str(listener.seen)
    assert os.environ["OPENAI_ORG_ID"] == "org-of-mine"
    monkeypatch.setenv("OPENAI_BASE_URL", f"{listener.base_url}/")
    assert await ask(settings) == "yes"
    assert {"org-of-mine", "project-of-mine", "of-mine"} <= set(listener.seen[-1].values())


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense://127.0.0.1:9"]
)
async def test_an_endpoint_on_this_machine_is_asked_without_a_proxy(
    proxy: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    assert (
        await ask(OpenAISettings(model="m", base_url=listener.base_url, attempts=1, outage_s=0))
        == "yes"
    )


def test_a_socks_proxy_without_its_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(EndpointError, match=r"ALL_PROXY.*pip install socksio"):
        open_in_process(
            OpenAISettings(model="m", base_url="https://models.invalid/v1", api_key_env="PATH")
        )


@pytest.mark.parametrize("content", ["\ufeffsk-abc\n", "sk-abc\r\n", "  sk-abc  "])
def test_a_key_file_may_begin_with_a_byte_order_mark(content: str, tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    file.write_bytes(content.encode())
    assert OpenAISettings(model="m", api_key_file=file).api_key() == "sk-abc"


@pytest.mark.parametrize(
    "key", ["\u201csk-abc\u201d", "sk-ab\u200bc", "sk abc", "sk-\x07abc", "sk-\xe4"]
)
def test_a_key_that_no_header_carries_is_told_before_anything_is_sent(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key.txt"
    file.write_text(key, encoding="utf-8")
    monkeypatch.setenv("KEY_OF_THIS_TEST", key)
    for place in ({"api_key_file": file}, {"api_key_env": "KEY_OF_THIS_TEST"}):
        with pytest.raises(AccessError, match="holds a character that no key has") as caught:
            OpenAISettings(model="m", **place).api_key()  # type: ignore[arg-type]
        assert "abc" not in str(caught.value)
        assert str(next(iter(place.values()))) in str(caught.value)


def test_the_services_client_is_as_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (
        "127.0.0.1:8000",
        "http:// 127.0.0.1",
        "http://me:pw@127.0.0.1",
        "http://127.0.0.1:x",
    ):
        with pytest.raises(SettingsError, match="no address of a service"):
            ServiceClient(address)
    with pytest.raises(AccessError, match="no key has"):
        ServiceClient("http://127.0.0.1:1", "\u201ckey\u201d")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)
    ServiceClient("http://127.0.0.1:1").close()
    with pytest.raises(EndpointError, match="ALL_PROXY"):
        ServiceClient("https://service.invalid")


def test_apply_reads_openai_base_url(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", listener.base_url)
    prompt = tmp_path / "prompt.json"
    prompt.write_text(
        json.dumps(
            {"prompt": {"instruction": "", "steps": [], "demonstrations": [], "closing": ""}}
        )
    )
    assert asyncio.run(apply_prompt(prompt, "hello", "openai:m")) == "yes"
