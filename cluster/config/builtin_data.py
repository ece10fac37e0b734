"""Refuses data that the built-in models were not made for.

They read and write the generated tasks alone: on any other their figures mean nothing, and look as
good as any.
"""

from collections.abc import Iterable, Mapping

from optimizer.errors import SettingsError, shortened
from optimizer.tasks.generated import GENERATED
from optimizer.tasks.task import Task
from serving.settings import ModelSettings
from serving.settings.builtin import OptimizerSettings, TargetSettings

_READ = 0.5
"""Share of a task's inputs that are of the generated tasks' kind, above which it is one [ours]."""


def foreign_tasks(tasks: Iterable[Task]) -> tuple[str, ...]:
    """Return the names of the tasks that are not of the kind of the generated ones."""
    # A task without a note on its data is made by code, ours or that of whoever runs it.
    read = [task for task in tasks if task.data_note]
    return tuple(dict.fromkeys(task.name for task in read if not _is_readable(task)))


def expect_made_for(models: Mapping[str, ModelSettings], tasks: Iterable[Task]) -> None:
    """Refuse built-in models for tasks that they were not made for.

    Args:
        models: The models to be used, each by the option that names it; without those that may
            have any data.
        tasks: The tasks.

    Raises:
        SettingsError: A built-in model would get other tasks.
    """
    builtin = {
        option: model
        for option, model in models.items()
        if isinstance(model, TargetSettings | OptimizerSettings) and not model.any_data
    }
    foreign = foreign_tasks(tasks) if builtin else ()
    if not foreign:
        return
    labels = " and ".join(dict.fromkeys(model.label for model in builtin.values()))
    options = " and ".join(f"--{option}" for option in builtin)
    first = next(iter(builtin.values()))
    raise SettingsError(
        f"{labels} {'was' if len(builtin) == 1 else 'were'} made for the generated tasks "
        f"({', '.join(sorted(GENERATED))}) and files of their kind, and not for "
        f"{shortened(', '.join(foreign))}: name another model with {options}, or write "
        f"{{kind: builtin, name: {first.name}, any_data: true}} to use it all the same."
    )


def _is_readable(task: Task) -> bool:
    if task.name in GENERATED:
        return True
    read = sum(
        any(made.read(example.input) is not None for made in GENERATED.values())
        for example in task.train
    )
    return read > _READ * len(task.train)
