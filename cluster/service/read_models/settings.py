"""An experiment's settings as its owner may see them.

Models are shown by their labels and data by their names, without paths of this machine.
"""

import re
from pathlib import PurePath
from typing import Any

from cluster.config.experiment import ExperimentSettings
from cluster.config.grader import shown_grader
from cluster.config.search_space import OPTIMIZER
from cluster.config.task import TaskSettings
from serving.settings import parse_model

_ID = re.compile(r"file-[0-9A-Za-z]+")


def shown_settings(settings: ExperimentSettings) -> dict[str, Any]:
    """Return all that decides the experiment, as JSON.

    What only says where something is, who pays, and how a model is hosted is left out.
    """
    shown = settings.model_dump(mode="json", exclude={"out", "models", "trials", "code"})
    return shown | {
        "tasks": [_task(task) for task in settings.tasks],
        "target": settings.target_model.label,
        "optimizer": settings.optimizer_model.label,
        "search": searched(settings),
    }


def searched(settings: ExperimentSettings) -> dict[str, Any] | None:
    """Return the search as JSON, with models by their labels; None if there is no search."""
    if settings.search is None:
        return None
    given = settings.search.model_dump(mode="json")
    if not settings.models and isinstance(lines := given["space"].get(OPTIMIZER), list):
        given["space"][OPTIMIZER] = list(dict.fromkeys(parse_model(line).label for line in lines))
    return given


def _task(task: TaskSettings) -> dict[str, Any]:
    """Return a task with an uploaded file by its id, and another file by its name."""
    return task.model_dump(mode="json") | {
        **{setting: _shown(path) for setting, path in task.files.items()},
        "scorer": shown_grader(task.scorer),
    }


def _shown(place: str) -> str:
    path = PurePath(place)
    return path.parent.name if _ID.fullmatch(path.parent.name) else path.name
