"""Pack what a submitted experiment needs on a cluster: code, resolved settings and data files.

The code is ours and what the settings list. The folder becomes the job's working directory, so
promptray need not be installed there, and laptop and cluster run the same version. It holds no
keys.
"""

import hashlib
import importlib.metadata
import shutil
from dataclasses import dataclass
from pathlib import Path

from cluster.config.experiment import ExperimentSettings, Recorded
from cluster.config.labels import slug
from cluster.config.task import TaskSettings
from cluster.experiment.prepare import SETTINGS_FILE, as_yaml, check, models_of
from cluster.own_code.code_files import read_code
from optimizer.errors import DataError, JobError
from optimizer.paths import expanded, whole
from serving.storage import open_folder

PACKAGES = ("optimizer", "serving", "cluster")
CODE = "code"
"""Folder of the code of the user's own."""
MOST_BYTES = 200 * 2**20
"""Ray passes a working directory through its head's memory and refuses more than 500 MiB; ours is 9
MB and the data.
"""
_ROOT = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


@dataclass(frozen=True)
class Shipment:
    """A packed folder."""

    settings: ExperimentSettings
    """The settings as they stand in the folder's settings.yaml."""
    metadata: dict[str, str]
    """Metadata for the job's record on the cluster."""


def pack(settings: ExperimentSettings, folder: Path) -> Shipment:
    """Fill an empty folder.

    Raises:
        UserError: The experiment could not run anywhere, or is too large.
    """
    trials, _, recorded = check(settings)
    for package in PACKAGES:
        shutil.copytree(_ROOT / package, folder / package, ignore=_LEFT_OUT)
    tasks = tuple(_with_data(task, folder, number) for number, task in enumerate(settings.tasks))
    shipped = settings.model_copy(
        update={
            "tasks": tasks,
            "code": _with_code(settings, folder),
            "out": place_on_cluster(settings),
            "recorded": recorded,
        }
    )
    (folder / SETTINGS_FILE).write_text(as_yaml(shipped), encoding="utf-8")
    version = _name_the_version(folder)
    _refuse_too_large(folder)
    return Shipment(
        shipped,
        {
            "promptray": version,
            "name": settings.name,
            "tasks": ", ".join(task.label for task in tasks),
            "trials": str(len(trials)),
            "data": _hash(recorded),
            "out": shipped.out,
        },
    )


def place_on_cluster(settings: ExperimentSettings) -> str:
    """Return where the results go, as the cluster's head sees it.

    A URI or an absolute path stays; anything else is below the head's home. Without `out` it is the
    same folder for the same name, so that submitting again continues.
    """
    place = settings.out or f"results/{slug(settings.name)}"
    folder = open_folder(place)
    return f"~/{place}" if folder.local and not expanded(place).is_absolute() else place


def keys_on_cluster(settings: ExperimentSettings) -> tuple[str, ...]:
    """Return where the cluster reads the models' keys: names of variables, or of files."""
    found = [model.key_place for model in models_of(settings)]
    return tuple(dict.fromkeys(place for place in found if place is not None))


def _with_data(task: TaskSettings, folder: Path, number: int) -> TaskSettings:
    """Copy a task's files into the folder, under their and their parents' names.

    These name the task, and its examples.
    """
    copies = {}
    for place, (setting, path) in enumerate(task.files.items()):
        source = whole(path)
        # Each file in a folder of its own: those of the splits may have one name.
        top = str(number) if not place else f"{number}-{setting}"
        copied = Path("data") / top / source.parent.name / source.name
        (folder / copied).parent.mkdir(parents=True)
        try:
            shutil.copyfile(source, folder / copied)
        except OSError as problem:
            raise DataError(
                f"The task file {source} cannot be read: {problem.strerror or problem}."
            ) from problem
        copies[setting] = str(copied)
    return task.with_files(copies)


def _with_code(settings: ExperimentSettings, folder: Path) -> tuple[str, ...]:
    """Copy the code that the settings list into the folder, and return its paths there."""
    code = read_code(settings.code)
    code.write(folder / CODE)
    return tuple(sorted({f"{CODE}/{name.partition('/')[0]}" for name, _ in code.files}))


def _name_the_version(folder: Path) -> str:
    """Write the version as an installer would, so that the code finds it there, and return it."""
    version = importlib.metadata.version("promptray")
    record = folder / f"promptray-{version}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: promptray\nVersion: {version}\n", encoding="utf-8"
    )
    return version


def _refuse_too_large(folder: Path) -> None:
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if total > MOST_BYTES:
        raise JobError(
            f"The experiment's files are {total // 2**20} MiB, more than the {MOST_BYTES // 2**20} "
            "MiB that may be sent with a job; use smaller task files."
        )


def _hash(recorded: Recorded) -> str:
    hashes = [
        recorded.data[label][seed]
        for label in sorted(recorded.data)
        for seed in sorted(recorded.data[label])
    ]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:12]
