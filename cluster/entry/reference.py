"""The reference of settings, SETTINGS.md, made from the settings classes themselves.

    python -m cluster.entry.reference > SETTINGS.md

A test holds the file to this.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from cluster.config.experiment import ExperimentSettings
from cluster.diagnosis.settings import DiagnosisSettings
from cluster.evaluation.settings import EvaluationSettings
from cluster.search.schedulers import SCHEDULERS
from cluster.search.searchers import SEARCHERS
from optimizer.graders.graders import GRADERS
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from serving.settings import ModelSettings

HEAD = """# Settings

Made from the settings classes by `python -m cluster.entry.reference > SETTINGS.md`; a test holds it
to them. `promptray init DATA` writes a first file of settings; [tune_configs/](tune_configs) has
examples. Misspelt keys are refused, and each fault is told in one sentence.
"""


@dataclass(frozen=True)
class Setting:
    """A line of the reference."""

    name: str
    kind: str
    default: str
    text: str


def reference() -> str:
    """Return the text of SETTINGS.md."""
    parts = [HEAD]
    seen: set[type] = set()
    for title, root in (
        ("An experiment: `promptray run FILE`", ExperimentSettings),
        ("An evaluation: `promptray evaluate`", EvaluationSettings),
        ("A diagnosis: `promptray diagnose`", DiagnosisSettings),
    ):
        parts.append(f"## {title}\n")
        parts += [_section(kind) for kind in _with_parts(root, seen)]
    parts.append("## Models: `target`, `optimizer` and a judge's `model`\n")
    parts += [_section(kind) for one in get_args(ModelSettings) for kind in _kinds(one, seen)]
    tables: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("Graders: `grader: {kind: NAME, ...}`", GRADERS.table),
        ("Strategies: `strategies: [{name: NAME, settings: {...}}]`", STRATEGIES.table),
        ("Selection rules: `selection: {name: NAME, settings: {...}}`", SELECTION_RULES.table),
        ("Searchers: `search: {searcher: {name: NAME, settings: {...}}}`", SEARCHERS),
        ("Schedulers: `search: {scheduler: {name: NAME, settings: {...}}}`", SCHEDULERS),
    )
    for title, table in tables:
        parts.append(f"## {title}\n")
        parts += [_section(kind, f"`{name}`") for name, kind in sorted(table.items())]
    return "\n".join(parts)


def _kinds(base: type, seen: set[type]) -> Iterator[type]:
    """Yield the settings classes of models: a class that has subclasses stands for these."""
    below: list[type] = base.__subclasses__()
    for one in sorted(below, key=lambda kind: kind.__name__):
        if one.__module__.startswith("serving."):
            yield from _kinds(one, seen)
    if not below:
        yield from _with_parts(base, seen)


def _with_parts(kind: type, seen: set[type]) -> Iterator[type]:
    """Yield a settings class and those of its fields, each once."""
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    if issubclass(kind, BaseModel):
        for field in kind.model_fields.values():
            for part in _classes_in(field.annotation):
                yield from _with_parts(part, seen)


def _classes_in(annotation: Any) -> Iterator[type]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _classes_in(part)


def _section(kind: Any, title: str = "") -> str:
    text = _paragraph(inspect.getdoc(kind) or "")
    lines = [f"### {title or f'`{kind.__name__}`'}\n", f"{text}\n"]
    settings = list(_settings_of(kind))
    if settings:
        lines += ["| setting | kind | default | |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{one.name}` | {_cell(one.kind)} | {_cell(one.default)} | {_cell(one.text)} |"
            for one in settings
        ]
        lines.append("")
    return "\n".join(lines)


def _settings_of(kind: Any) -> Iterator[Setting]:
    """Yield the settings of a class, with the texts that stand below them in its source."""
    texts = _texts(kind)
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            default = (
                "required"
                if field.is_required()
                else _default(field.get_default(call_default_factory=True))
            )
            yield Setting(name, _kind(field.annotation), default, texts.get(name, ""))
    elif is_dataclass(kind):
        for one in fields(kind):
            given: Any = one.default if one.default_factory is MISSING else one.default_factory()
            shown = "required" if given is MISSING else _default(given)
            yield Setting(one.name, _kind(one.type), shown, texts.get(one.name, ""))


def _texts(kind: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(inspect.getmro(kind) if inspect.isclass(kind) else ()):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        (body, *_) = [node.body for node in tree.body if isinstance(node, ast.ClassDef)] or [[]]
        for node, below in pairwise(body):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[node.target.id] = " ".join(below.value.value.split())
    return found


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        changed = value.model_dump(mode="json", exclude_defaults=True)
        return f"`{changed}`" if changed else "its defaults"
    if value is None:
        return "null"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{value!r}`" if isinstance(value, str | int | float | bool | dict) else f"`{value}`"


def _kind(annotation: Any) -> str:
    """Return an annotation as people write it."""
    return f"`{annotation}`" if isinstance(annotation, str) else f"`{_plain(annotation)}`"


def _plain(annotation: Any) -> str:
    origin, given = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(given[0])
    if origin in (Union, UnionType):
        return " | ".join(map(_plain, given))
    if origin is Literal:
        return " | ".join(map(repr, given))
    if origin in (tuple, list, Sequence):
        return f"list[{_plain(given[0])}]"
    if origin in (dict, Mapping):
        return f"{{{_plain(given[0])}: {_plain(given[1])}}}"
    if annotation is NoneType:
        return "null"
    return str(getattr(annotation, "__name__", annotation))


def _paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(reference())
