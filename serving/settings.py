"""Which model: small strict settings that travel to a worker and build the heavy thing there. Knows no prompt and no search.

A model is named in one line, `builtin:target`, `builtin:optimizer`, `openai:MODEL` or `openai:MODEL@BASE_URL`, or by a mapping with
`kind`. Engines, clients and Ray are imported only where something is built, so that reading settings stays light.
"""

import hashlib
import ipaddress
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from optimizer.errors import AccessError, SettingsError, unknown_name
from optimizer.protocols import LanguageModel
from serving.builtin import TARGET_FOLDER

if TYPE_CHECKING:
    from serving.engines import Engine

_OPENAI = re.compile(r"openai:(?P<model>.+?)(?:@(?P<base_url>https?://.+))?")
_LOCAL_KEY = "no-key"
_HERE = Path(__file__).parent
_TARGET_FILES = (TARGET_FOLDER / "ctranslate2" / "model.bin", TARGET_FOLDER / "tokenizer.json", _HERE / "builtin" / "chat.py")
_RULEBOOK_FILES = (_HERE / "engines" / "rulebook.py", _HERE / "engines" / "phrasebook.py")


class Hostable(Protocol):
    """What `deployment.host` needs to know of a model: anything picklable with these four."""

    @property
    def label(self) -> str:
        """The short name that people see and choose by, such as "builtin:target"."""

    @property
    def identity(self) -> str:
        """The model with its revision and settings, as it stands in every ledger key."""

    @property
    def replicas(self) -> int: ...

    def engine(self) -> "Engine":
        """The heavy thing; called once in each replica."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Served(_Settings, ABC):
    """A model that we run ourselves: hosted on Ray Serve for a cluster, or in this process without Ray."""

    served: ClassVar[bool] = True
    """Must `deployment.host` be called before `build`?"""
    stand_in: ClassVar[bool] = False
    """Is it a small program in place of a large model?"""
    kind: Literal["builtin"] = "builtin"
    replicas: int = Field(1, ge=1, le=256)

    @property
    @abstractmethod
    def label(self) -> str: ...

    @property
    @abstractmethod
    def identity(self) -> str: ...

    @abstractmethod
    def engine(self) -> "Engine": ...

    def build(self) -> LanguageModel:
        """The client, in a worker of the Ray cluster on which the model is hosted."""
        from serving.clients.serve_handle import ServeHandleModel
        from serving.deployment import app_name

        return ServeHandleModel(app_name(self), self.identity)

    def in_process(self) -> LanguageModel:
        """The model in this very process, without Ray; loaded at the first call."""
        from serving.clients.in_process import InProcessModel

        return InProcessModel(self.engine, self.identity)


class TargetSettings(_Served):
    """`builtin:target`: the small transformer, run by CTranslate2."""

    name: Literal["target"] = "target"
    threads: int = Field(2, ge=1, le=64)
    """Threads a replica, each with a batch of its own; 2 fill the two cores of a laptop's free half."""

    @property
    def label(self) -> str:
        return "builtin:target"

    @property
    def identity(self) -> str:
        return f"builtin:target@{_revision(*_TARGET_FILES)}"

    def engine(self) -> "Engine":
        from serving.engines import ENGINES

        return ENGINES["ctranslate2"](name=self.identity, folder=TARGET_FOLDER, threads=self.threads)


class OptimizerSettings(_Served):
    """`builtin:optimizer`: the rulebook, a stand-in for a large optimizer model."""

    stand_in: ClassVar[bool] = True
    name: Literal["optimizer"] = "optimizer"
    prior_bias: float = Field(0.1, ge=0.0, le=1.0)
    """How often it ignores the evidence (Ma et al., section 4: reflection is biased by prior knowledge); the figure is ours."""
    seed: int = 0

    @property
    def label(self) -> str:
        return "builtin:optimizer"

    @property
    def identity(self) -> str:
        return f"builtin:optimizer@{_revision(*_RULEBOOK_FILES)}(prior_bias={self.prior_bias},seed={self.seed})"

    def engine(self) -> "Engine":
        from serving.engines import ENGINES

        return ENGINES["rulebook"](prior_bias=self.prior_bias, seed=self.seed)


class OpenAISettings(_Settings):
    """Any OpenAI-compatible endpoint: vLLM, a company's gateway, `promptray serve`, OpenAI itself."""

    served: ClassVar[bool] = False
    stand_in: ClassVar[bool] = False
    kind: Literal["openai"] = "openai"
    model: str = Field(min_length=1)
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = Field("OPENAI_API_KEY", min_length=1)
    """The environment variable that holds the key. The key itself is never part of the settings."""
    max_in_flight: int = Field(32, ge=1, le=4096)
    """Calls at once from one trial, at most; the limiter goes below it when the endpoint pushes back."""
    timeout_s: float = Field(120.0, gt=0)
    attempts: int = Field(5, ge=1, le=20)
    max_tokens: int | None = Field(None, ge=1)
    """Replaces the callers' limit, for models that think before they answer."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Newer models of OpenAI take only `max_completion_tokens`."""
    send_temperature: bool = True
    """False for models that refuse to be told a temperature."""

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address, such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("must not hold a key or a query: put the key into the variable that api_key_env names")
        return url.rstrip("/")

    @property
    def label(self) -> str:
        return f"openai:{self.model}"

    @property
    def identity(self) -> str:
        own = {"max_tokens": self.max_tokens, "send_temperature": None if self.send_temperature else "no"}
        return f"openai:{self.model}@{self.base_url}" + "".join(f";{key}={value}" for key, value in own.items() if value)

    def api_key(self) -> str:
        """The key from the environment. Raises AccessError where it is missing and the endpoint is not on this machine."""
        key = os.environ.get(self.api_key_env, "").strip()
        if not key and not _is_loopback(self.base_url):
            raise AccessError(f"There is no key for {self.base_url}: set the environment variable {self.api_key_env}.")
        return key or _LOCAL_KEY

    def build(self) -> LanguageModel:
        """The client; use it in one event loop. Raises AccessError where the key is missing."""
        from serving.clients.openai_http import OpenAIModel

        return OpenAIModel(self, self.api_key())

    def in_process(self) -> LanguageModel:
        """The same as `build`: an endpoint needs no Ray."""
        return self.build()


ModelSettings = TargetSettings | OptimizerSettings | OpenAISettings
BUILTIN_MODELS: dict[str, type[TargetSettings | OptimizerSettings]] = {"target": TargetSettings, "optimizer": OptimizerSettings}
_KINDS = ("builtin", "openai")
_BY_NAME: TypeAdapter[TargetSettings | OptimizerSettings] = TypeAdapter(
    Annotated[TargetSettings | OptimizerSettings, Field(discriminator="name")])


def parse_model(source: str | Mapping[str, Any]) -> ModelSettings:
    """Settings from one line or from a mapping. Raises SettingsError with one sentence."""
    fields = _from_line(source) if isinstance(source, str) else dict(source)
    kind, name = fields.get("kind"), fields.get("name")
    if kind not in _KINDS:
        raise unknown_name("kind of model", str(kind), _KINDS)
    if kind == "builtin" and name not in BUILTIN_MODELS:
        raise unknown_name("built-in model", str(name), BUILTIN_MODELS)
    try:
        return OpenAISettings.model_validate(fields) if kind == "openai" else _BY_NAME.validate_python(fields)
    except ValidationError as problem:
        raise SettingsError(_sentence(problem, fields)) from None


def _from_line(line: str) -> dict[str, Any]:
    kind, _, rest = line.strip().partition(":")
    if kind == "builtin":
        return {"kind": kind, "name": rest}
    if match := _OPENAI.fullmatch(line.strip()):
        return {"kind": "openai", **{key: value for key, value in match.groupdict().items() if value}}
    raise SettingsError(f"{line!r} names no model: write builtin:target, builtin:optimizer or openai:MODEL@BASE_URL.")


def _sentence(problem: ValidationError, fields: Mapping[str, Any]) -> str:
    """The first fault in plain words. The value is not quoted: it may be a secret in the wrong place."""
    fault = problem.errors(include_url=False, include_input=False)[0]
    key = str(fault["loc"][-1]) if fault["loc"] else "?"
    if fault["type"] == "extra_forbidden":
        model = OpenAISettings if fields.get("kind") == "openai" else BUILTIN_MODELS[str(fields["name"])]
        return f"A model of this kind has no setting {key!r}; known are: {', '.join(sorted(model.model_fields))}."
    return f"The model's setting {key!r} is wrong: {fault['msg'].removeprefix('Value error, ')}."


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def _revision(*files: Path) -> str:
    """Eight hex digits of the files that decide a model's answers."""
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            raise SettingsError(f"A built-in model lacks its file {file.name}: install promptray again.")
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]
