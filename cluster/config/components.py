"""The components of an experiment that do not come with promptray: names, revisions, imports."""

from collections.abc import Iterable
from typing import Any

from cluster.config.experiment import ExperimentSettings, PairSettings, Recorded
from cluster.own_code.code_files import CodeFiles, use_code
from cluster.own_code.code_revision import revision_of
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
        *(one for task in settings.tasks if task.grader for one in task.grader.imports()),
    ]
    found = {(registry.noun, name): registry for registry, name in named}
    return tuple(
        (registry, name) for (_, name), registry in found.items() if name not in registry.table
    )


def import_components(settings: ExperimentSettings, tasks: Iterable[Task], code: CodeFiles) -> None:
    """Import in this process what another one imported when it read the settings.

    Args:
        settings: Known to be usable, on the machine of whoever runs them.
        tasks: Made by them: they may name graders of their own.
        code: What the settings list under `code`.

    Raises:
        SettingsError: This machine lacks a package that the other one has.
    """
    use_code(code)
    for registry, name in components_of(settings):
        registry.import_name(name)
    for task in tasks:
        for registry, name in task.grader.imports():
            registry.import_name(name)


def revisions(settings: PairSettings, tasks: Iterable[Task] = ()) -> dict[str, str]:
    """Return the revision of each component that is not ours, by name, to detect a changed one.

    That is the digest of the code that the settings list, the version of an installed package, or
    the digest of a package's sources where it has no version or is installed as editable.
    """
    modules = {name: registry.module_of(name) for registry, name in components_of(settings)}
    modules |= {
        name: registry.module_of(name)
        for task in tasks
        for registry, name in task.grader.imports()
        if name not in registry.table
    }
    return {name: revision_of(module) for name, module in sorted(modules.items())}


def recorded_revisions(settings: ExperimentSettings, recorded: Recorded) -> dict[str, str]:
    """Return the recorded revisions of the settings' components."""
    return {name: recorded.versions.get(name, "") for _, name in components_of(settings)}
