"""Several models in one Serve application, from one file of settings: a deployment each, and the
gateway as the way in.

`build` is what `serve run`, `serve deploy` and KubeRay's RayService import; `promptray serve` takes
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
"""What is offered where nothing is named."""


class ServingSettings(Strict):
    """Which models to host, and how their gateway is opened."""

    models: list[str | dict[str, Any]] = Field(min_length=1)
    """Each a line, such as `vllm:MODEL`, or a mapping with `kind`."""
    gateway: GatewaySettings | None = Field(None, validation_alias=AliasChoices("gateway", "door"))
    """`door` is its name in older files."""
    """None: no HTTP; the models are called by handle alone, by experiments on the same cluster."""

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
        return tuple(parse_model(model) for model in self.models)

    @property
    def served(self) -> tuple[Served, ...]:
        """Those that we run ourselves."""
        return tuple(model for model in self.parsed if model.served)


def read(
    file: Path | None, models: Sequence[str] = (), gateway: Mapping[str, Any] | None = None
) -> ServingSettings:
    """The settings of `promptray serve`: a file's, in which `models` and single settings of the
    `gateway` are replaced where they are
    given. There is always a gateway. Raises SettingsError in one sentence.
    """
    data = {"models": list(DEFAULT_MODELS)} if file is None else read_mapping(file)
    name = "door" if "door" in data else "gateway"  # faults are told in the words of the file
    own = data.get(name) or {}
    if not isinstance(own, Mapping):
        raise SettingsError(
            f"{file}: The setting {name} must be a mapping, such as {{port: 8000}}."
        )
    return validated(
        {**data, name: {**own, **(gateway or {})}} | ({"models": list(models)} if models else {})
    )


def validated(args: Mapping[str, Any]) -> ServingSettings:
    """Raises SettingsError in one sentence."""
    try:
        return ServingSettings.model_validate(args)
    except ValidationError as problem:
        raise SettingsError(sentence(problem)) from None


def build(args: dict[str, Any]) -> serve.Application:
    """One Serve application with all models, from the content of a settings file.

    Raises SettingsError in one sentence.
    """
    return application(validated(args))


def application(settings: ServingSettings) -> serve.Application:
    """The gateway in front of the models, or a mere root for them where there is none."""
    hosted = {model.label: bind(model, load_engine) for model in settings.served}
    if settings.gateway is not None:
        return bind_gateway(settings.gateway, settings.parsed, hosted, connect)
    root = serve.deployment(name="models", ray_actor_options={"num_cpus": 0})(_Root)
    return root.bind(tuple(hosted.values()))


class _Root:
    """What Serve hangs the deployments on: an application has one that comes first.

    Nobody calls it.
    """

    def __init__(self, handles: tuple[object, ...]) -> None:
        self._handles = handles
