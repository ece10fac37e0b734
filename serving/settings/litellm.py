"""Settings of a model that the litellm package calls, at any of the vendors that it knows."""

from dataclasses import replace
from typing import Literal

from pydantic import Field, field_validator

from optimizer.types import Sampling
from serving.settings.addresses import read_base_url
from serving.settings.functions import CalledHere


class LiteLLMSettings(CalledHere):
    """Settings of `litellm:MODEL`, such as `litellm:anthropic/claude-sonnet-4-5`.

    The package reads each vendor's key from its own environment variable, where the model runs. It
    is an extra: `pip install 'promptray[litellm]'`.
    """

    kind: Literal["litellm"] = "litellm"
    model: str = Field(min_length=1)
    """The model as litellm names it: VENDOR/MODEL."""
    api_base: str | None = None
    """An http:// or https:// address in place of the vendor's own."""
    max_tokens: int | None = Field(None, ge=1)
    """Replaces the callers' limit, for models that think before they answer."""

    @field_validator("model")
    @classmethod
    def _plain_name(cls, model: str) -> str:
        if model.split() != [model] or "://" in model:
            raise ValueError(
                "must be the model's name alone, as litellm writes it, without spaces and without "
                "an address: that is api_base"
            )
        return model

    @field_validator("api_base")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        return None if url is None else read_base_url(url)

    @property
    def label(self) -> str:
        """Return the kind and the model's name."""
        return f"litellm:{self.model}"

    @property
    def identity(self) -> str:
        """Return the model with its address and the settings that decide its answers."""
        own = {"api_base": self.api_base, "max_tokens": self.max_tokens}
        return self.label + "".join(f";{key}={value}" for key, value in own.items() if value)

    def heard(self, sampling: Sampling) -> Sampling:
        """Return the sampling as the vendor receives it."""
        return replace(sampling, max_tokens=self.max_tokens or sampling.max_tokens)

    @property
    def own_max_tokens(self) -> int | None:
        """Return the limit that replaces the callers' limit, or None."""
        return self.max_tokens
