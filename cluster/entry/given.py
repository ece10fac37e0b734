"""Settings of what a program gives: data in memory, functions, models and prompts."""

import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from cluster.config.labels import slug
from cluster.entry.outcome import BestPrompt
from cluster.entry.tables import source_of
from cluster.evaluate import evaluation_of, target_of_all
from cluster.evaluation.prompts import NamedPrompt, about_of_all, read_prompt
from cluster.evaluation.settings import NAME, EvaluationSettings
from cluster.experiment.prepare import RESULTS
from optimizer.errors import SettingsError
from optimizer.prompt import Prompt
from optimizer.registry import is_reference
from optimizer.tasks.imported import TASKS
from serving.runtime.session_functions import named_function
from serving.settings import addressed
from serving.storage import Folder, open_folder

Model = str | Mapping[str, Any]
IN_MEMORY = "data"
"""Name of data in memory, where none is given."""


def settings_of_python(
    data: Any,
    *,
    task: Mapping[str, Any],
    model: Model,
    optimizer: Model | None,
    strategies: Sequence[Any],
    money: float | None,
    name: str | None,
    out: str | Path | None,
    others: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the settings of an experiment, as a file would have them.

    Data in memory is written into the results folder.

    Raises:
        UserError: Something is at fault.
    """
    title = name or slug(_title(data))
    folder = _folder(out, title)
    budget = dict(others.get("budget") or {})
    if money is not None:
        budget["total"] = dict(budget.get("total") or {}) | {"money": money}
    plain = {key: value for key, value in others.items() if value is not None}
    return plain | {
        "name": title,
        "tasks": [task_of(data, task, folder, title)],
        "target": _model(model),
        "optimizer": _model(model if optimizer is None else optimizer),
        "strategies": [dict(one) if isinstance(one, Mapping) else one for one in strategies],
        "budget": budget,
        "out": str(folder),
    }


def evaluation_of_python(
    prompts: Any,
    data: Any,
    *,
    task: Mapping[str, Any],
    model: Model | None,
    name: str | None,
    out: str | Path | None,
    others: Mapping[str, Any],
) -> EvaluationSettings:
    """Return the settings of an evaluation.

    Raises:
        UserError: Something is at fault.
    """
    named = named_prompts(prompts)
    title = name or slug(f"{NAME}-{_title(data)}")
    folder = _folder(out, title)
    own = about_of_all(named, "grader") or about_of_all(named, "scorer")
    grader = own if task.get("grader") is None else task["grader"]
    plain = {key: value for key, value in others.items() if value is not None and key != "money"}
    budget = dict(plain.pop("budget", {}))
    if others.get("money") is not None:
        budget["money"] = others["money"]
    return evaluation_of(
        plain
        | {
            "name": title,
            "prompts": [{"label": one.label, "prompt": one.prompt.to_json()} for one in named],
            "task": task_of(data, {**task, "grader": grader}, folder, title),
            "target": target_of_all(named) if model is None else _model(model),
            "budget": budget,
            "out": str(folder),
        }
    )


def task_of(data: Any, task: Mapping[str, Any], folder: Folder, title: str) -> dict[str, Any]:
    """Return a task as settings have it.

    Args:
        data: See source_of; or the name of a generated task.
        task: input, target, grader, prompt, keep, description, as `promptray.optimize` takes them.
        folder: The results folder.
        title: Name of data in memory.
    """
    named = isinstance(data, str) and (data in TASKS or is_reference(data))
    columns = {part: task[part] for part in ("input", "target") if task.get(part)}
    prompt = task.get("prompt")
    given = {
        "source": data if named else source_of(data, folder, title),
        "columns": columns,
        "grader": _grader(task.get("grader")),
        "baseline": {"file": str(prompt)} if isinstance(prompt, Path) else prompt,
        "keep": list(task.get("keep") or ()),
        "description": task.get("description"),
    }
    return {key: value for key, value in given.items() if value}


def travelling(grader: Any) -> dict[str, Callable[..., Any]]:
    """Return the functions of a session that must reach the workers, by name.

    Raises:
        SettingsError: The grader cannot travel.
    """
    if grader is None or isinstance(grader, str | Mapping):
        return {}
    name, _ = named_function(grader)
    from ray import cloudpickle

    module = sys.modules.get(grader.__module__)
    if module is not None and _is_local(module):
        # A worker imports installed packages alone, and nothing of the caller's folder.
        cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    try:
        cloudpickle.dumps(grader)  # type: ignore[no-untyped-call]
    except Exception as problem:  # whatever the objects that it encloses raise
        raise SettingsError(
            f"The grader {name} cannot be sent to Ray's workers ({problem}); make what it needs "
            "inside of the function, or put the function into a module of its own."
        ) from problem
    return {name: grader}


def _is_local(module: ModuleType) -> bool:
    """Return whether a module is a file of the caller's own, and of no installed package."""
    file = getattr(module, "__file__", None)
    shared = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")}
    return (
        file is not None
        and module.__name__ != "__main__"
        and not any(Path(file).is_relative_to(place) for place in shared if place)
    )


def named_prompts(prompts: Any) -> list[NamedPrompt]:
    """Return prompts of every kind that `promptray.evaluate` takes.

    Raises:
        UserError: One is none, or cannot be read.
    """
    if isinstance(prompts, Mapping):
        return [
            NamedPrompt(str(label), one.prompt, one.about, one.place)
            for label, prompt in prompts.items()
            for one in (_named(prompt),)
        ]
    several = prompts if isinstance(prompts, list | tuple) else [prompts]
    return [_named(prompt) for prompt in several]


def _named(prompt: Any) -> NamedPrompt:
    if isinstance(prompt, BestPrompt):
        return NamedPrompt(prompt.trial, prompt.prompt, dict(prompt.data))
    if isinstance(prompt, Prompt):
        return NamedPrompt(prompt.id, prompt, {})
    if isinstance(prompt, str | Path):
        return read_prompt(str(prompt))
    raise SettingsError(
        f"A prompt cannot be a {type(prompt).__name__}; give a text, a path, or result.best."
    )


def _grader(grader: Any) -> Any:
    if grader is None or isinstance(grader, str):
        return grader
    if isinstance(grader, Mapping):
        return dict(grader)
    return {"kind": "python", "function": named_function(grader)[1]}


def _model(model: Model) -> str | dict[str, Any]:
    return addressed(model)


def _title(data: Any) -> str:
    return Path(data).stem if isinstance(data, str | Path) else IN_MEMORY


def _folder(out: str | Path | None, title: str) -> Folder:
    """Return the results folder: it is known before the data is written into it."""
    if out is not None:
        return open_folder(out).absolute()
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    return open_folder(RESULTS / f"{title}-{stamp}").absolute()
