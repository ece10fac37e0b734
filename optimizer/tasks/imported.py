"""The tasks that have names: the generated ones, and functions that come from elsewhere."""

from collections.abc import Callable

from optimizer.errors import DataError, PromptrayError, shortened
from optimizer.graders.graders import GRADERS
from optimizer.registry import Registry, Unfit, is_reference
from optimizer.tasks.generated import GENERATED, GeneratedTask
from optimizer.tasks.task import Sizes, Task

TaskMaker = Callable[[Sizes, int], Task]
"""Makes the task of these sizes for a seed; the same ones give the same task on every machine.
`optimizer.tasks.loading.split_task` makes it of examples.
"""


def _as_maker(name: str, found: object) -> GeneratedTask | TaskMaker:
    if isinstance(found, type) or not callable(found):
        raise Unfit("it is no function (sizes, seed) that gives a Task")
    maker: TaskMaker = found
    return maker


_TABLE: dict[str, GeneratedTask | TaskMaker] = {**GENERATED}
TASKS = Registry("task", _TABLE, "promptray.tasks", _as_maker)
"""A file is a task too, and has no name here."""


def is_file(source: str) -> bool:
    """Return whether a task's source is the path of a file, and no name."""
    return source not in TASKS and not is_reference(source)


def make(source: str, maker: TaskMaker, sizes: Sizes, seed: int) -> Task:
    """Return the task that a function from elsewhere makes, with its grader imported.

    Raises:
        DataError: It raises, or gives no task.
        SettingsError: The task names a grader that cannot be used.
    """
    try:
        task = maker(sizes, seed)
    except PromptrayError:
        raise
    except Exception as problem:  # whatever code of others raises
        said = shortened(f"{type(problem).__name__}: {problem}")
        raise DataError(f"The task {source} cannot be made ({said}).") from problem
    if not isinstance(task, Task):
        raise DataError(
            f"The task {source} gives {shortened(repr(task))}; its function must give a Task, as "
            "optimizer.tasks.loading.split_task does."
        )
    # Whoever has imported this code trusts it: the grader that it names is imported like itself.
    GRADERS.import_name(task.grader.name)
    return task
