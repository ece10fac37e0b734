"""What the first argument of a command names: settings, a bundled experiment, a task or data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optimizer.errors import SettingsError, shortened
from optimizer.paths import expanded
from optimizer.registry import is_reference
from optimizer.tasks.imported import TASKS
from serving.storage import split_place

BUNDLED = Path(__file__).parents[2] / "tune_configs"
DATA_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_SETTINGS_ENDINGS = (".yaml", ".yml")
Kind = Literal["settings", "data", "task"]


@dataclass(frozen=True)
class StartingPoint:
    """Where an experiment begins."""

    kind: Kind
    """settings: a YAML file; data: a file of examples; task: a generated task, or somebody's own.
    """
    place: str
    """The path, URI or name."""


def bundled() -> tuple[str, ...]:
    """Return the names of the experiments that come with promptray."""
    return tuple(sorted(file.stem for file in BUNDLED.glob("*.yaml")))


def starting_point(named: str) -> StartingPoint:
    """Return what a name stands for.

    A file comes first; a bundled experiment is found by its name from any folder.

    Raises:
        SettingsError: There is nothing of that name.
    """
    suffix = Path(named).suffix.lower()
    if suffix in DATA_ENDINGS:
        return StartingPoint("data", named)
    folder, name = split_place(named)
    if suffix in _SETTINGS_ENDINGS or folder.exists(name):
        return StartingPoint("settings", named)
    if named in bundled():
        return StartingPoint("settings", str(BUNDLED / f"{named}.yaml"))
    if named in TASKS or is_reference(named):
        return StartingPoint("task", named)
    if expanded(named).is_dir():
        raise SettingsError(
            f"{shortened(named)} is a folder, and no settings file; `promptray resume FOLDER` "
            "continues a run."
        )
    # The first sentence of a wrong path is the one that people know.
    raise SettingsError(
        f"Settings file not found: {shortened(named)}. There is no bundled experiment or task of "
        "that name either. Name "
        f"a settings file (.yaml), a data file ({', '.join(DATA_ENDINGS)}), a bundled "
        f"experiment ({', '.join(bundled())}) or a task of `promptray list`."
    )
