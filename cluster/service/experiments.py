"""From a request to the experiment that it is: models by label, data by file id, everything else as the command line has it.

Knows the service's storage and its models; starts no Ray. Blocking: it reads files.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster.preparation import Experiment, check
from cluster.service.errors import NotFound
from cluster.service.files import local_copy
from cluster.service.objects import OptimizationRequest, TaskRequest
from cluster.service.office import Caller
from cluster.service.settings import ServiceSettings
from cluster.service.store import Store
from cluster.settings import ExperimentSettings, slug
from optimizer.errors import DataError, SettingsError, StorageError, unknown_name
from optimizer.tasks.generated import GENERATED
from serving.storage import Folder
from serving.strictness import sentence

_OF_A_PROBE = ("tasks", "target", "optimizer", "strategies", "selection", "seeds", "sizes", "sampling")


def experiment_settings(request: OptimizationRequest, service: ServiceSettings, out: Folder) -> ExperimentSettings:
    """The experiment, with its results in `out`. Raises SettingsError, NotFound for a file that is not there."""
    given = request.model_dump(mode="json", exclude={"metadata", "tasks"})
    store = Store(service.storage)
    given |= {
        "tasks": [_task(task, store) for task in request.tasks], "out": out.absolute().place,
        "target": _model(request.target, service), "optimizer": _model(request.optimizer, service)}
    try:
        return ExperimentSettings.model_validate(given)
    except ValidationError as problem:
        raise SettingsError(sentence(problem)) from None


def checked(request: OptimizationRequest, service: ServiceSettings, out: Folder, caller: Caller) -> Experiment:
    """The experiment with its data, checked as `promptray run` would but for asking its models, and no folder made. Raises NotFound
    for a file that the caller may not see, UserError where it cannot be run. For a process that can be killed: what it reads and
    multiplies out is a stranger's."""
    store = Store(service.storage)
    for task in request.tasks:
        if task.file is not None and task.generated is None and not caller.may_see(_owner_of(task.file, store)):
            raise _no_file(task.file)
    settings = experiment_settings(request, service, out)
    trials, tasks, recorded = check(settings)
    if settings.search:
        settings.search.searcher.build().check()
    return Experiment(settings.model_copy(update={"recorded": recorded}), trials, tasks, out)


def probe_digest(request: OptimizationRequest, service: ServiceSettings) -> str:
    """The same for requests that a probe answers alike: name, budget and concurrency are nothing to it."""
    asked = request.model_dump(mode="json", include=set(_OF_A_PROBE))
    models = {name: str(_model(getattr(request, name), service)) for name in ("target", "optimizer")}
    return hashlib.sha256(json.dumps([asked, models], sort_keys=True).encode()).hexdigest()[:24]


def _task(task: TaskRequest, store: Store) -> dict[str, Any]:
    own = task.model_dump(mode="json", include={"scorer", "seed_instruction", "sizes"})
    if (task.file is None) == (task.generated is None):
        raise SettingsError("A task names a file or a generated task, one of them.")
    if task.generated is not None:
        if task.generated not in GENERATED:
            raise unknown_name("generated task", task.generated, GENERATED)
        return own | {"source": task.generated, "label": task.label}
    assert task.file is not None
    label = task.label or slug(Path(str(_file_record(task.file, store).get("filename", "data"))).stem)
    return own | {"source": data_path(task.file, store), "label": label}


def data_path(id: str, store: Store) -> str:
    """Of an uploaded file's data, on this machine. Raises NotFound."""
    return local_copy(store.file(id), id)


def _owner_of(id: str, store: Store) -> str:
    return str(_file_record(id, store).get("owner", ""))


def _file_record(id: str, store: Store) -> Mapping[str, Any]:
    folder = store.file(id)
    try:
        if Path(id).name != id or not folder.exists("file.json"):
            raise _no_file(id)
        record = json.loads(folder.read("file.json"))
    except StorageError:
        raise _no_file(id) from None
    except ValueError as problem:
        raise DataError(f"The record of the file {id} is not JSON ({problem}); upload it again.") from problem
    return record if isinstance(record, dict) else {}


def _no_file(id: str) -> NotFound:
    return NotFound(f"There is no file {id!r}; upload it first.")


def _model(label: str, service: ServiceSettings) -> str | dict[str, Any]:
    by_label = {model.label: given for model, given in zip(service.parsed, service.models, strict=True)}
    if label not in by_label:
        raise unknown_name("model of this service", label, by_label)
    return by_label[label]
