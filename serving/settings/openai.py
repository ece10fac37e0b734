"""Settings of a model behind an OpenAI-compatible endpoint; they name its key, never hold it."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from optimizer.errors import AccessError
from optimizer.types import Sampling
from serving.settings.addresses import OPENAI_URL, is_loopback, read_base_url
from serving.settings.api_key import key_in_environment, key_in_file
from serving.settings.base import Priced

_LOCAL_KEY = "no-key"


class OpenAISettings(Priced):
    """Any OpenAI-compatible endpoint.

    It may be vLLM, a company's gateway, `promptray serve`, or OpenAI itself.
    """

    served: ClassVar[Literal[False]] = False
    stand_in: ClassVar[bool] = False
    chunk: ClassVar[int] = 1
    """Each answer is a call of its own, and recorded as it comes: a killed process loses only
    what was in flight.
    """
    kind: Literal["openai"] = "openai"
    model: str = Field(min_length=1)
    base_url: str = OPENAI_URL
    """An http:// or https:// address without user, query and fragment. Where settings name none,
    `parsing.addressed` gives them that of OPENAI_BASE_URL, once and where they are read: a
    worker, whose environment may differ, reads no variable for it.
    """
    api_key_env: str = Field("OPENAI_API_KEY", min_length=1)
    """The environment variable with the key. The key itself is never part of the settings."""
    api_key_file: Path | None = None
    """A file whose first line is the key, such as a secret that Kubernetes mounts. Where it is
    given, the variable is not read.
    """
    max_in_flight: int = Field(64, ge=1, le=4096)
    """Maximum number of concurrent calls on the endpoint, of all trials on the Ray cluster
    together; without Ray, of this client alone. The concurrency limit goes below it when the
    endpoint pushes back. Of several models on one endpoint each has its own maximum, and all
    together the largest.
    """
    timeout_s: float = Field(120.0, gt=0)
    """Seconds for a whole call, from its sending to the last byte of its answer."""
    attempts: int = Field(10, ge=1, le=100)
    """Attempts of one call that fails in a way that may pass [ours]: of an endpoint that fails
    three calls in ten, one call in 170,000 stays without an answer.
    """
    retry_s: float = Field(300.0, ge=0)
    """No attempt of a call begins later than so many seconds after its first failure [ours]."""
    outage_s: float = Field(600.0, ge=0)
    """Seconds to wait for an endpoint that is down, before the run ends [ours]; 0: not at all."""
    hedge_percentile: float | None = Field(None, ge=50, lt=100)
    """Such as 95: a call that takes longer than so many percent of the calls before it is sent a
    second time, and the first answer counts. It cuts waiting for stragglers; a gateway that
    does not honour `Idempotency-Key` may charge for both. None: never.
    """
    max_tokens: int | None = Field(None, ge=1)
    """Replaces the callers' limit, for models that think before they answer."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Newer models of OpenAI accept only `max_completion_tokens`."""
    send_temperature: bool = True
    """False for models that refuse a temperature."""
    send_seed: bool = True
    """False for endpoints that refuse the field `seed`, which makes independent draws of an
    answer differ.
    """
    system_role: Literal["system", "developer", "user"] = "system"
    """The role of the instruction's message. `user`: it stands before the first user message,
    for models without a system role.
    """

    @field_validator("model")
    @classmethod
    def _plain_name(cls, model: str) -> str:
        if model != model.strip() or not model.isprintable() or "://" in model:
            raise ValueError(
                "must be the model's name alone, without spaces around it and without an address: "
                "that is base_url"
            )
        return model

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        return read_base_url(url)

    @property
    def label(self) -> str:
        """Return the kind and the model's name."""
        return f"openai:{self.model}"

    @property
    def identity(self) -> str:
        """Return the model with its address and the settings that decide its answers."""
        # Only what differs from the default, so that old ledger keys stay valid.
        own = {
            "max_tokens": self.max_tokens,
            "send_temperature": None if self.send_temperature else "no",
            "send_seed": None if self.send_seed else "no",
            "system_role": self.system_role.removeprefix("system"),
        }
        return f"openai:{self.model}@{self.base_url}" + "".join(
            f";{key}={value}" for key, value in own.items() if value
        )

    @property
    def endpoint(self) -> str:
        """Return the base URL."""
        return self.base_url

    @property
    def key_place(self) -> str:
        """Return the key's file or variable."""
        return str(self.api_key_file or self.api_key_env)

    @property
    def own_max_tokens(self) -> int | None:
        """Return the limit that replaces the callers' limit, or None."""
        return self.max_tokens

    def heard(self, sampling: Sampling) -> Sampling:
        """Return the sampling as the endpoint receives it."""
        temperature = sampling.temperature if self.send_temperature else 0.0
        return replace(
            sampling, temperature=temperature, max_tokens=self.max_tokens or sampling.max_tokens
        )

    def most_at_once(self, trials: int) -> int:
        """Return the maximum number of requests in flight.

        It is the endpoint's, however many trials share it.
        """
        return self.max_in_flight

    def api_key(self) -> str:
        """Return the key from its file or from the environment.

        For an endpoint on this machine the variable may be missing.

        Raises:
            AccessError: If the key is missing or cannot be sent.
        """
        if self.api_key_file is not None:
            return key_in_file(self.api_key_file)
        key = key_in_environment(self.api_key_env)
        if not key and not is_loopback(self.base_url):
            raise AccessError(
                f"There is no key for {self.base_url}: set the environment variable "
                f"{self.api_key_env}."
            )
        return key or _LOCAL_KEY
