"""Maps a request to the experiment that it describes, and checks it.

Models are found by label and data by file id; everything else is as in an experiment file. Knows
the service's storage and its models, and starts no Ray. Its functions read files and block.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.config.experiment import ExperimentSettings
from cluster.config.labels import slug
from cluster.config.search_space import SELECTION
from cluster.experiment.prepare import SETTINGS_FILE, Experiment, check
from cluster.service.access.admission import (
    expect_few_examples,
    expect_harmless,
    expect_named,
    expect_offered,
    expect_within,
    searched_models,
)
from cluster.service.access.graders import grader_for_run, judge_labels
from cluster.service.core.backend import Principal
from cluster.service.core.components import ComponentSettings
from cluster.service.core.errors import NotFound
from cluster.service.core.settings import ServiceSettings
from cluster.service.schemas import EvaluationRequest, OptimizationRequest, TaskRequest
from cluster.service.stores.file_inspection import local_copy
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, SettingsError, StorageError, shortened
from serving.settings.validation import read_mapping, validated
from serving.storage import Folder

_PROBED_FIELDS = (
    "tasks",
    "target",
    "optimizer",
    "strategies",
    "selection",
    "seeds",
    "sizes",
    "sampling",
)
_ID = re.compile(r"file-[0-9A-Za-z]{1,64}")
"""The form of a file's id. It becomes the name of a folder, so no other text is looked up."""


def experiment_settings(
    request: OptimizationRequest, service: ServiceSettings, out: Folder
) -> ExperimentSettings:
    """Return the settings of the experiment that a request describes.

    Args:
        request: The request.
        service: The service's settings, with the models that it offers.
        out: The results folder.

    Raises:
        SettingsError: The request names a model that is not offered, or makes no experiment.
        NotFound: A file does not exist.
    """
    models = expect_offered(request, service)
    given = request.model_dump(mode="json", exclude={"metadata", "tasks"})
    store = Store(service.storage)
    known = service.components
    given |= {
        "tasks": [_task(task, store, known, models) for task in request.tasks],
        "strategies": [_whole(one, "strategies", known) for one in given["strategies"]],
        "selection": _whole(given["selection"], "selection_rules", known),
        "out": out.absolute().place,
        "target": models[request.target],
        "optimizer": models[request.optimizer],
    }
    if given["search"] is not None:
        given["search"]["space"] = _whole_space(given["search"]["space"], known)
    # With these the search's space is read as labels, and no entry as a model.
    given["models"] = {label: models[label] for label in searched_models(request)}
    return validated(ExperimentSettings, given)


def stored_settings(
    request: OptimizationRequest, service: ServiceSettings, out: Folder
) -> ExperimentSettings:
    """Read the settings that a job wrote into `out`, whatever the service offers by now.

    Raises:
        SettingsError: The job's search names models or settings that no request may name. An
            earlier version accepted such requests, and to read those settings is to open what they
            name.
        DataError: The file is damaged.
    """
    try:
        stored = read_mapping(out.place_of(SETTINGS_FILE))
    except SettingsError as problem:
        raise DataError(f"{problem} Bring it back from a copy.") from problem
    labels = stored.get("models")
    expect_harmless(
        request,
        {*(model.label for model in service.parsed), *(labels if isinstance(labels, dict) else ())},
    )
    try:
        return validated(ExperimentSettings, stored)
    except SettingsError as problem:
        raise DataError(f"{problem} Bring it back from a copy.") from None


def admit(request: OptimizationRequest | EvaluationRequest, service: ServiceSettings) -> None:
    """Refuse a new request that this service does not accept; see cluster.service.access.admission.

    It costs next to nothing, so it comes before any process, file or call.

    Raises:
        SettingsError: The request is not accepted.
    """
    expect_named(request, service)
    if isinstance(request, OptimizationRequest):
        expect_within(request, service)


def checked(
    request: OptimizationRequest, service: ServiceSettings, out: Folder, principal: Principal
) -> Experiment:
    """Check a request with its data as `promptray run` would, but for calling its models.

    Makes no folder. It is for a process that can be killed: what it reads and expands comes from a
    stranger.

    Args:
        request: The request.
        service: The service's settings.
        out: The results folder of the experiment.
        principal: Who asks.

    Raises:
        NotFound: A file does not exist, or the principal may not see it.
        UserError: The experiment cannot be run.
    """
    admit(request, service)
    store = Store(service.storage)
    for task in request.tasks:
        for file in (task.file, task.dev_file, task.test_file):
            if file is not None and task.generated is None:
                expect_visible(file, store, principal)
    settings = experiment_settings(request, service, out)
    trials, tasks, recorded = check(settings)
    parts = [(task.train, task.dev, task.test) for task in tasks.values()]
    expect_few_examples(sum(len(part) for splits in parts for part in splits), service)
    if settings.search:
        settings.search.searcher.build().check()
    return Experiment(settings.model_copy(update={"recorded": recorded}), trials, tasks, out)


def probe_digest(request: OptimizationRequest, service: ServiceSettings) -> str:
    """Return a digest that is equal for requests that a probe answers alike.

    Name, budget and concurrency make no difference to a probe.
    """
    fields = request.model_dump(mode="json", include=set(_PROBED_FIELDS))
    # Sizes that fit were the usual ones in earlier versions, and a probe's digest is its ledger's.
    for sizes in (fields["sizes"], *(task["sizes"] or {} for task in fields["tasks"])):
        sizes.pop("auto", None)
    offered = expect_offered(request, service)
    models = {name: str(offered[getattr(request, name)]) for name in ("target", "optimizer")}
    decides: list[Any] = [fields, models]
    if judges := {
        label: str(offered[label])
        for task in request.tasks
        for label in judge_labels(task.graded_by, offered)
    }:
        decides.append(judges)
    if own := service.components.model_dump(exclude_defaults=True):
        decides.append(own)
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:24]


def _whole(choice: Mapping[str, Any], kind: str, known: ComponentSettings) -> dict[str, Any]:
    """Return a choice under the name by which a trial's worker finds it, labelled as it was."""
    name = known.whole(kind, choice["name"])
    if name == choice["name"]:
        return dict(choice)
    return {**choice, "name": name, "label": choice["label"] or choice["name"]}


def _whole_space(space: Mapping[str, Any], known: ComponentSettings) -> dict[str, Any]:
    """Return a search space with its selection rules under such names."""
    listed = space.get(SELECTION)
    names = listed.get("choice") if isinstance(listed, Mapping) else listed
    if not isinstance(names, list):
        return dict(space)  # which `experiment_settings` refuses, where it is there
    return {**space, SELECTION: [known.whole("selection_rules", str(name)) for name in names]}


def _task(
    task: TaskRequest, store: Store, known: ComponentSettings, models: Mapping[str, Any]
) -> dict[str, Any]:
    named = ("scorer", "seed_instruction", "baseline", "keep", "sizes", "columns", "description")
    own = task.model_dump(mode="json", include=set(named))
    if task.graded_by is not None:
        own["scorer"] = grader_for_run(task.graded_by, known, models)
    if task.generated is not None:
        source = known.whole("tasks", task.generated)
        label = task.label or (task.generated if source != task.generated else "")
        return own | {"source": source, "label": label}
    assert task.file is not None
    name = file_name(task.file, store)
    paths = {
        setting: data_path(id, store)
        for setting, id in (("dev_file", task.dev_file), ("test_file", task.test_file))
        if id is not None
    }
    return (
        own
        | paths
        | {
            "source": data_path(task.file, store),
            "label": task.label or slug(Path(name).stem),
            "file_name": name,
        }
    )


def expect_visible(id: str, store: Store, principal: Principal) -> None:
    """Refuse an uploaded file that the principal may not see.

    Raises:
        NotFound: The file does not exist, or it is somebody else's.
    """
    if not principal.may_see(str(_file_record(id, store).get("owner", ""))):
        raise _no_file(id)


def file_name(id: str, store: Store) -> str:
    """Return the name that an uploaded file had.

    Raises:
        NotFound: The file does not exist.
    """
    return str(_file_record(id, store).get("filename", "data"))


def data_path(id: str, store: Store) -> str:
    """Return the path of an uploaded file's data on this machine.

    Raises:
        NotFound: The file does not exist.
    """
    return local_copy(store.file(id), id)


def _file_record(id: str, store: Store) -> Mapping[str, Any]:
    if not _ID.fullmatch(id):
        raise _no_file(id)
    folder = store.file(id)
    try:
        if not folder.exists("file.json"):
            raise _no_file(id)
        record = json.loads(folder.read("file.json"))
    except StorageError:
        raise _no_file(id) from None
    except ValueError as problem:
        raise DataError(
            f"The record of the file {id} is not JSON ({problem}); upload it again."
        ) from problem
    return record if isinstance(record, dict) else {}


def _no_file(id: str) -> NotFound:
    return NotFound(f"There is no file {shortened(id)!r}; upload it first.")
