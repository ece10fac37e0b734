"""Build the request for a job of the service from the settings of an experiment."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.settings.validation import read_mapping

if TYPE_CHECKING:
    from cluster.service.client import ServiceClient
    from cluster.service.schemas import OptimizationRequest

_REQUESTED = (
    "name",
    "description",
    "target",
    "optimizer",
    "strategies",
    "selection",
    "seeds",
    "sizes",
    "sampling",
    "budget",
    "search",
    "concurrency",
)


def build_request(
    client: "ServiceClient",
    file: str | None,
    tasks: Sequence[str] | None,
    strategies: Sequence[str] | None,
    name: str | None,
) -> "OptimizationRequest":
    """Build the request of a job; data files are uploaded, generated tasks go by name.

    Args:
        client: The client of the service.
        file: Settings of an experiment; None where options stand alone.
        tasks: Tasks in place of the file's.
        strategies: Strategies in place of the file's.
        name: Name of the job, in place of the file's.

    Raises:
        SettingsError: The settings are not those of a job.
    """
    from cluster.service.schemas import STORED, OptimizationRequest
    from serving.settings.validation import validated

    data = read_mapping(file) if file else {}
    given: dict[str, Any] = {key: data[key] for key in _REQUESTED if key in data}
    given |= {key: value for key, value in (("strategies", strategies), ("name", name)) if value}
    given["tasks"] = [_task(client, one) for one in tasks or data.get("tasks") or []]
    # What its operator offers beside promptray's own is known to the service alone.
    return validated(OptimizationRequest, given, STORED)


def _task(client: "ServiceClient", task: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"source": task} if isinstance(task, str) else dict(task)
    source = settings.pop("source", "")
    if isinstance(source, dict):
        settings |= {f"{split}_file": source[split] for split in ("dev", "test") if split in source}
        source = source.get("train", "")
    if (part := settings.pop("input", None)) is not None:
        settings["columns"] = {**(settings.get("columns") or {}), "input": part}
    for name in ("dev_file", "test_file"):
        if settings.get(name) is not None:
            settings[name] = client.upload(settings[name]).id
    named = not Path(str(source)).suffix  # a file that can be read has one
    kind = {"generated": source} if named else {"file": client.upload(source).id}
    return kind | {"label": settings.pop("label", None) or Path(str(source)).stem} | settings
