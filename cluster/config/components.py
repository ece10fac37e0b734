"""The components of an experiment that do not come with promptray: names, revisions, imports."""

import hashlib
import json
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any

from cluster.config.code_files import CodeFiles, code_in_use, is_from_code, use_code
from cluster.config.experiment import ExperimentSettings, PairSettings, Recorded
from optimizer.graders.graders import GRADERS
from optimizer.registry import Registry
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.imported import TASKS, is_file
from optimizer.tasks.task import Task


def components_of(settings: PairSettings) -> tuple[tuple[Registry[Any], str], ...]:
    """Return the registry and the name of every component that is not in promptray's tables."""
    named: list[tuple[Registry[Any], str]] = []
    if isinstance(settings, ExperimentSettings):  # a diagnosis has a strategy and a rule of its own
        named += ((STRATEGIES, spec.name) for spec in settings.strategies)
        named += ((SELECTION_RULES, name) for name in settings.selection_names())
    named += [
        *((TASKS, task.source) for task in settings.tasks if not is_file(task.source)),
        *((GRADERS, task.scorer) for task in settings.tasks if task.scorer is not None),
    ]
    found = {(registry.noun, name): registry for registry, name in named}
    return tuple(
        (registry, name) for (_, name), registry in found.items() if name not in registry.table
    )


def import_components(settings: ExperimentSettings, tasks: Iterable[Task], code: CodeFiles) -> None:
    """Import in this process what another one imported when it read the settings.

    Args:
        settings: Known to be usable, on the machine of whoever runs them.
        tasks: Made by them: they may name scorers of their own.
        code: What the settings list under `code`.

    Raises:
        SettingsError: This machine lacks a package that the other one has.
    """
    use_code(code)
    for registry, name in components_of(settings):
        registry.import_name(name)
    for task in tasks:
        GRADERS.import_name(task.scorer)


def revisions(settings: PairSettings, tasks: Iterable[Task] = ()) -> dict[str, str]:
    """Return the revision of each component that is not ours, by name, to detect a changed one.

    That is the digest of the code that the settings list, the version of an installed package, or
    the digest of a package's sources where it has no version or is installed as editable.
    """
    modules = {name: registry.module_of(name) for registry, name in components_of(settings)}
    modules |= {
        task.scorer: GRADERS.module_of(task.scorer)
        for task in tasks
        if task.scorer not in GRADERS.table
    }
    return {name: _revision(module) for name, module in sorted(modules.items())}


def recorded_revisions(settings: ExperimentSettings, recorded: Recorded) -> dict[str, str]:
    """Return the recorded revisions of the settings' components."""
    return {name: recorded.versions.get(name, "") for _, name in components_of(settings)}


def _revision(module: str) -> str:
    if is_from_code(module):
        return code_in_use().digest
    top = module.partition(".")[0]
    return _installed_version(top) or _digest_of_sources(top)


@cache
def _installed_version(top: str) -> str:
    """Return name and version of a package's distribution.

    "" where there is none, or where its sources may change under its version.
    """
    for name in packages_distributions().get(top, ()):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        if not origin.get("dir_info", {}).get("editable"):
            return f"{name} {found.version}"
    return ""


def _digest_of_sources(top: str) -> str:
    module, digest = sys.modules[top], hashlib.sha256()
    folders = [Path(place) for place in getattr(module, "__path__", ())]
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    for file in files or [Path(module.__file__ or "")]:
        if file.is_file():
            digest.update(file.name.encode("utf-8", "surrogateescape") + b"\n")
            digest.update(file.read_bytes())
    return f"sha256:{digest.hexdigest()[:16]}"
