"""The litellm package behind the prompt: its answers and errors have the fates of all models'."""

from typing import Any

import pytest

from optimizer.errors import AccessError, SettingsError
from optimizer.types import Completion, Failed
from serving.contracts.refusals import Declined
from serving.engines import Engine
from serving.engines.function import FunctionEngine
from serving.engines.litellm import ask_litellm
from serving.models import load_engine
from serving.settings import LiteLLMSettings, parse_model
from tests.contracts.client_contract import ask
from tests.contracts.engine_contract import EngineContract

litellm = pytest.importorskip("litellm")
SETTINGS = LiteLLMSettings(model="openai/some-model", attempts=1)


class Vendor:
    """Stands for the package's one function: the wire is not what is tested here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.finish = "stop"
        monkeypatch.setattr(litellm, "acompletion", self)

    async def __call__(self, **given: Any) -> Any:
        self.asked.append(given)
        if self.error:
            raise self.error
        text = f"Heard {given['messages'][-1]['content']!r}."
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": self.finish}
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        return litellm.ModelResponse(choices=[choice], usage=usage)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    return Vendor(monkeypatch)


class TestLiteLLM(EngineContract):
    @pytest.fixture
    def engine(self, vendor: Vendor) -> Engine:
        return FunctionEngine(SETTINGS, ask_litellm(SETTINGS))


async def test_a_call_carries_the_request_and_nothing_else(vendor: Vendor) -> None:
    settings = LiteLLMSettings(model="openai/m", api_base="http://127.0.0.1:1/v1", max_tokens=9)
    engine = load_engine(settings)
    assert await engine.complete([ask("Hello", sample=3, temperature=0.5)]) == [
        Completion("Heard 'Hello'.", prompt_tokens=5, completion_tokens=2)
    ]
    assert vendor.asked == [
        {
            "model": "openai/m",
            "messages": [{"role": "user", "content": "Hello"}],
            "temperature": 0.5,
            "max_tokens": 9,
            "timeout": 120.0,
            "num_retries": 0,
            "drop_params": True,
            "seed": 3,
            "api_base": "http://127.0.0.1:1/v1",
        }
    ]


async def test_the_end_of_an_answer_is_told(vendor: Vendor) -> None:
    engine = load_engine(SETTINGS)
    vendor.finish = "length"
    (cut,) = await engine.complete([ask("Hello")])
    vendor.finish = "content_filter"
    (filtered,) = await engine.complete([ask("Hello")])
    assert isinstance(cut, Completion)
    assert cut.truncated
    assert isinstance(filtered, Declined)


def error(name: str, message: str) -> Exception:
    kind = getattr(litellm.exceptions, name)
    found: Exception = kind(message=message, llm_provider="openai", model="some-model")
    return found


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ContentPolicyViolationError", "refused"),
        ("ContextWindowExceededError", "refused"),
        ("BadRequestError", "infrastructure"),
        ("RateLimitError", "infrastructure"),
        ("ServiceUnavailableError", "infrastructure"),
        ("InternalServerError", "infrastructure"),
        ("APIConnectionError", "infrastructure"),
        ("Timeout", "infrastructure"),
    ],
)
async def test_an_error_has_the_fate_of_its_kind(vendor: Vendor, name: str, kind: str) -> None:
    vendor.error = error(name, "It cannot be.")
    (outcome,) = await load_engine(SETTINGS).complete([ask("Hello")])
    assert isinstance(outcome, Failed)
    assert outcome.kind == kind
    assert "It cannot be" in outcome.reason


@pytest.mark.parametrize("name", ["AuthenticationError", "NotFoundError"])
async def test_a_refused_key_ends_the_run_and_is_not_shown(
    vendor: Vendor, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_VENDOR_API_KEY", "sk-very-secret")
    vendor.error = error(name, "The key sk-very-secret is unknown.")
    with pytest.raises(AccessError) as refusal:
        await load_engine(SETTINGS).complete([ask("Hello")])
    assert "sk-very-secret" not in str(refusal.value)


def test_without_the_package_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "litellm", None)
    with pytest.raises(SettingsError, match=r"pip install 'promptray\[litellm\]'"):
        load_engine(SETTINGS)


def test_a_line_names_vendor_and_model() -> None:
    settings = parse_model("litellm:anthropic/claude-sonnet-4-5")
    assert isinstance(settings, LiteLLMSettings)
    assert settings.identity == settings.label == "litellm:anthropic/claude-sonnet-4-5"
    with pytest.raises(SettingsError):
        parse_model("litellm:http://somewhere/v1")
