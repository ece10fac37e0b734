"""Everything that can be chosen by name: all registries and tables in one place."""

import sys
from collections.abc import Iterator
from typing import Any

from cluster.search.schedulers import SCHEDULERS
from cluster.search.searchers import SEARCHERS
from optimizer.graders.graders import GRADERS, GraderKind
from optimizer.registry import Registry, is_reference
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.imported import TASKS
from serving.settings import BUILTIN_MODELS

_RIGHT_BY_SCORER = {
    "exact": "The same text, but for case and white space.",
    "choice": "The same one of the example's choices, by its letter or its text.",
    "number": "The same number, in digits or in words.",
    "regex": "The answer matches the target, a pattern, from end to end.",
}
"""Shorter than the scorers' own texts on the answers that they accept."""
_OPEN: tuple[tuple[str, Registry[Any]], ...] = (
    ("Generated tasks", TASKS),
    ("Graders", GRADERS),
    ("Strategies", STRATEGIES),
    ("Selection rules", SELECTION_RULES),
)
ELSEWHERE = (
    "One of your own is named package.module:Name, with its file or package under code in the "
    "settings, or is an entry point of an installed package."
)


def catalogue() -> dict[str, dict[str, str]]:
    """Return one line for each name, by title, of what this process knows; nothing is imported."""
    return {
        "Generated tasks (a path to a .json, .jsonl, .csv or .parquet file is a task too)": {
            name: task_line(task) for name, task in named(TASKS).items()
        },
        "Graders": {
            name: _RIGHT_BY_SCORER.get(name) or _accepted(kind)
            for name, kind in named(GRADERS).items()
        },
        "Strategies": _described(STRATEGIES),
        "Selection rules": _described(SELECTION_RULES),
        "Searchers, for search in the settings": _described(SEARCHERS),
        "Schedulers, for search in the settings": _described(SCHEDULERS),
        "Models (openai:MODEL@BASE_URL is any OpenAI-compatible endpoint, litellm:VENDOR/MODEL any "
        "vendor, python:MODULE:FUNCTION a function, scripted:FILE plays a script of replies)": {
            f"builtin:{name}": _first_sentence(model).partition(": ")[2]
            for name, model in BUILTIN_MODELS.items()
        },
    }


def installed() -> dict[str, dict[str, str]]:
    """Return one line for each name that installed packages offer, or why it cannot be used.

    The keys are titles. Everything is imported: for the command line only.
    """
    lines_by_title = {title: dict(_installed_lines(registry)) for title, registry in _OPEN}
    return {
        f"{title} of installed packages": lines for title, lines in lines_by_title.items() if lines
    }


def named(registry: Registry[Any]) -> dict[str, Any]:
    """Return the components that can be chosen by a name, not only by their place of import."""
    return {name: found for name, found in registry.items() if not is_reference(name)}


def task_line(task: object) -> str:
    """Return one line on a task."""
    return str(getattr(task, "description", "")) or _first_sentence(task)


def _accepted(kind: GraderKind) -> str:
    accepts = getattr(kind, "accepts", "")
    # Of ours it may depend on the settings: then the kind itself is described.
    if not isinstance(accepts, str) or (not accepts and kind in GRADERS.table.values()):
        accepts = _first_sentence(sys.modules[kind.__module__]).partition(": ")[2]
    return f"{accepts[:1].upper()}{accepts[1:]}."


def _installed_lines(registry: Registry[Any]) -> Iterator[tuple[str, str]]:
    for one in registry.installed():
        found: Any = one.component
        line = _accepted(found) if registry is GRADERS and found else f"{_first_sentence(found)}."
        if one.fault:
            line = f"Cannot be used. {one.fault}"
        yield one.name, f"{line} ({one.distribution}, {one.value})"


def _described(registry: Registry[Any]) -> dict[str, str]:
    """Return the first sentence on each class.

    For our own that is the module's, which is written for people, as the class's is about its
    settings. A module of somebody else's may be about anything.
    """
    return {
        name: _first_sentence(sys.modules[kind.__module__] if name in registry.table else kind)
        for name, kind in named(registry).items()
    }


def _first_sentence(described: object) -> str:
    text = " ".join((described.__doc__ or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".")
