"""One Serve application with several models: a deployment for each, and the gateway as the way in.

`build` is what `serve run`, `serve deploy` and KubeRay's RayService import; `promptray serve` reads
the same settings. No `from __future__ import annotations` here: Serve reads the annotations of
`build`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from ray import serve

from optimizer.errors import SettingsError
from serving.gateway.deployment import bind_gateway
from serving.gateway.settings import GatewaySettings
from serving.hosting.deployment import bind
from serving.models import connect, load_engine
from serving.settings import ModelSettings, Served, addressed, parse_model
from serving.settings.validation import Strict, read_mapping, sentence

DEFAULT_MODELS = ("builtin:target", "builtin:optimizer")
"""The models where none is named."""


class ServingSettings(Strict):
    """The models to host, and the gateway that opens them."""

    models: list[str | dict[str, Any]] = Field(min_length=1)
    """Each is a line, such as `vllm:MODEL`, or a mapping with `kind`."""
    gateway: GatewaySettings | None = Field(None, validation_alias=AliasChoices("gateway", "door"))
    """None: no HTTP; the models are called by handle alone, by experiments on the same cluster.
    `door` is its name in older files.
    """

    @field_validator("models")
    @classmethod
    def _can_be_read(cls, models: list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
        models = [addressed(model) for model in models]
        labels = [parse_model(model).label for model in models]
        if twice := next((label for label in labels if labels.count(label) > 1), None):
            raise SettingsError(
                f"Two models are called {twice}; callers could not choose between them."
            )
        return models

    @model_validator(mode="after")
    def _has_a_way_in(self) -> Self:
        if self.gateway is None and not self.served:
            raise SettingsError(
                "There is nothing to host: without a gateway, at least one model must be builtin "
                "or vllm."
            )
        return self

    @property
    def parsed(self) -> tuple[ModelSettings, ...]:
        """Return the settings of all models."""
        return tuple(parse_model(model) for model in self.models)

    @property
    def served(self) -> tuple[Served, ...]:
        """Return the settings of the models that this application hosts itself."""
        return tuple(model for model in self.parsed if model.served)


def read(
    file: Path | None, models: Sequence[str] = (), gateway: Mapping[str, Any] | None = None
) -> ServingSettings:
    """Read the settings of `promptray serve`; there is always a gateway.

    Args:
        file: A YAML file of settings; None for the defaults.
        models: Models in place of those in the file.
        gateway: Single settings of the gateway in place of those in the file.

    Raises:
        SettingsError: If a setting is unknown, missing or impossible.
    """
    data = {"models": list(DEFAULT_MODELS)} if file is None else read_mapping(file)
    # Messages use the words of the file.
    name = "door" if "door" in data else "gateway"
    own = data.get(name) or {}
    if not isinstance(own, Mapping):
        raise SettingsError(
            f"{file}: The setting {name} must be a mapping, such as {{port: 8000}}."
        )
    return validated(
        {**data, name: {**own, **(gateway or {})}} | ({"models": list(models)} if models else {})
    )


def validated(args: Mapping[str, Any]) -> ServingSettings:
    """Check the content of a settings file.

    Raises:
        SettingsError: If a setting is unknown, missing or impossible.
    """
    try:
        return ServingSettings.model_validate(args)
    except ValidationError as problem:
        raise SettingsError(sentence(problem)) from None


def build(args: dict[str, Any]) -> serve.Application:
    """Build one Serve application with all models, from the content of a settings file.

    Raises:
        SettingsError: If a setting is unknown, missing or impossible.
    """
    return application(validated(args))


def application(settings: ServingSettings) -> serve.Application:
    """Bind the gateway in front of the models, or a mere root for them where there is none."""
    hosted = {model.label: bind(model, load_engine) for model in settings.served}
    if settings.gateway is not None:
        return bind_gateway(settings.gateway, settings.parsed, hosted, connect)
    # Serve requires one ingress deployment; it needs no CPU.
    root = serve.deployment(name="models", ray_actor_options={"num_cpus": 0})(_Root)
    return root.bind(tuple(hosted.values()))


class _Root:
    """The first deployment of an application without a gateway, which Serve requires.

    Nobody calls it.
    """

    def __init__(self, handles: tuple[object, ...]) -> None:
        self._handles = handles
