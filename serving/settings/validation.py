"""Strict settings from YAML: every mistake becomes one sentence.

An unknown key names its nearest known one. Knows pydantic and YAML; knows nothing of models and
experiments.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from optimizer.errors import PromptrayError, SettingsError, unknown_name
from serving.settings.yaml_text import YAMLFault, read_yaml
from serving.storage import split_place

T = TypeVar("T")
S = TypeVar("S", bound="Strict")
M = TypeVar("M", bound=BaseModel)
_OF_UNIONS = ("str", "dict[str,any]")
"""Parts of a location that name the type that pydantic tried, and no key."""
_WORDING = (
    (r"[Tt]uple", "list"),
    (" after validation", ""),
    (r"dictionary( or instance of \w+)?", "mapping"),
)


class Strict(BaseModel):
    """Settings that refuse an unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_its_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            # The names that fields had in earlier versions: files may still hold them.
            older = {
                str(alias): name
                for name, field in cls.model_fields.items()
                if isinstance(field.validation_alias, AliasChoices)
                for alias in field.validation_alias.choices
                if alias != name
            }
            for name in older.keys() & data.keys():
                if older[name] in data:
                    raise SettingsError(
                        f"{name} is the older name of {older[name]}: give one of them."
                    )
            refuse_unknown(data, cls.model_fields, older)
        return data


def refuse_unknown(given: Iterable[Any], known: Iterable[str], older: Collection[str] = ()) -> None:
    """Check that every key is known, or the older name of a known one.

    Raises:
        SettingsError: For the first key that is not.
    """
    names = list(known)
    for key in given:
        if key not in names and key not in older:
            near = get_close_matches(str(key), names, n=1)
            rest = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names)}."
            raise SettingsError(f"There is no setting called {str(key)!r}; {rest}")


# To make one takes longer than to read a hundred settings.
@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the type adapter of a class."""
    return TypeAdapter(kind)


def build_named(
    noun: str, table: Mapping[str, type[T]], name: str, settings: Mapping[str, Any]
) -> T:
    """Build the dataclass that `table` has under `name`, from checked settings.

    Raises:
        SettingsError: If the name or a setting is unknown, or a value is impossible.
    """
    if name not in table:
        raise unknown_name(noun, name, table)
    kind: Any = table[name]
    refuse_unknown(settings, [field.name for field in fields(kind)])
    try:
        built: T = _adapter(kind).validate_python(dict(settings))
        return built
    except ValidationError as problem:
        raise SettingsError(f"Of {noun} {name!r}: {sentence(problem)}") from problem


def read_settings(
    kind: type[S],
    path: Path | str,
    overrides: Mapping[str, Any],
    context: Mapping[str, Any] | None = None,
) -> S:
    """Read the settings in a YAML file, with its top-level keys replaced by `overrides`.

    Args:
        kind: The class of the settings.
        path: The file, or its URI.
        overrides: Top-level keys that replace those of the file.
        context: The context of pydantic's validation.

    Raises:
        SettingsError: If a setting is unknown, missing or impossible.
    """
    data = {**read_mapping(path), **overrides}
    try:
        return kind.model_validate(data, context=context)
    except ValidationError as problem:
        raise SettingsError(f"{path}: {sentence(problem)}") from problem


def validated(kind: type[M], data: Any, context: Mapping[str, Any] | None = None) -> M:
    """Return the checked settings; `context` is that of pydantic's validation.

    Raises:
        SettingsError: One sentence on the first fault.
    """
    try:
        return kind.model_validate(data, context=context)
    except ValidationError as problem:
        raise SettingsError(sentence(problem)) from problem


class FirstFault(NamedTuple):
    """The first fault of a failed validation."""

    kind: str
    """Pydantic's name for it."""
    loc: tuple[int | str, ...]
    text: str
    """The fault, without the given value."""
    given: Any
    cause: Exception | None
    """The exception that a validator of ours has raised."""

    @property
    def path(self) -> str:
        """Return its place, with dots between."""
        return ".".join(map(str, self.loc))


class _Faulty(Protocol):
    def errors(self) -> Sequence[Any]: ...


def first_fault(problem: _Faulty) -> FirstFault:
    """Return the first fault of a failed validation, pydantic's own or a web framework's."""
    fault = problem.errors()[0]
    return FirstFault(
        fault["type"],
        tuple(fault["loc"]),
        str(fault["msg"]).removeprefix("Value error, "),
        fault.get("input"),
        fault.get("ctx", {}).get("error"),
    )


def sentence(problem: ValidationError) -> str:
    """Return the first fault of a failed validation in one sentence for people."""
    fault = first_fault(problem)
    place = ".".join(str(part) for part in fault.loc if part not in _OF_UNIONS)
    if isinstance(fault.cause, PromptrayError):
        return f"In {place}: {fault.cause}" if place else str(fault.cause)
    if fault.kind == "missing":
        return f"The setting {place} is missing; add it."
    # The value is not quoted: it may be a secret in the wrong place.
    if fault.kind == "extra_forbidden":
        return f"There is no setting called {place!r}."
    return f"The setting {place} cannot be {fault.given!r}: {_plain(fault.text)}."


def _plain(text: str) -> str:
    """Return pydantic's message in the words of a YAML file."""
    for pattern, words in _WORDING:
        text = re.sub(pattern, words, text)
    return text[:1].lower() + text[1:].rstrip(".")


def read_mapping(place: Path | str) -> dict[str, Any]:
    """Return a YAML file's top-level keys, from a path or a URI.

    Raises:
        SettingsError: If there is no such file, or it holds no mapping.
        StorageError: If it cannot be read.
    """
    folder, name = split_place(place)
    if not folder.exists(name):
        raise SettingsError(
            f"Settings file not found: {place}. Start from an example in tune_configs/."
        )
    try:
        data = read_yaml(folder.read(name).decode())
    except UnicodeDecodeError as problem:
        raise SettingsError(
            f"The settings file {place} cannot be read: it is not UTF-8 text."
        ) from problem
    except YAMLFault as problem:
        raise SettingsError(f"The settings file {place} {problem.fault}.") from problem
    if not isinstance(data, dict):
        raise SettingsError(
            f"The settings file {place} holds no settings. Start from an example in from."
        )
    return data
