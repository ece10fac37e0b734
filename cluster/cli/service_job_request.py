"""Build the requests for jobs of the service from settings, options and files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.settings.validation import read_mapping

if TYPE_CHECKING:
    from cluster.service.client import ServiceClient
    from cluster.service.schemas import EvaluationRequest, OptimizationRequest

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


_FILE = re.compile(r"file-[0-9A-Za-z]+")
"""The id of an uploaded file."""
_JOB = re.compile(r"(?P<job>opt-[0-9A-Za-z]+)(?:/(?P<trial>.+))?")
"""A job's best prompt, or that of one of its trials."""


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


def build_evaluation(
    client: "ServiceClient",
    prompts: Sequence[str],
    data: str,
    grader: str | None,
    options: Mapping[str, Any],
) -> "EvaluationRequest":
    """Build the request of an evaluation; a data file is uploaded, and prompts are read here.

    Args:
        client: The client of the service.
        prompts: Files, texts, or jobs.
        data: A data file, or the id of an uploaded one.
        grader: The grader, as an option has it.
        options: The other fields of the request; None leaves one out.

    Raises:
        UserError: A file cannot be read, or a setting is wrong.
    """
    from cluster.config.overrides import as_grader
    from cluster.service.schemas import STORED, EvaluationRequest
    from serving.settings.validation import validated

    given = _set(dict(options)) | {"prompts": [_prompt(text) for text in prompts]}
    if grader is not None:
        given["grader"] = as_grader(grader)
    given["file"] = data if _FILE.fullmatch(data) else client.upload(data).id
    # What its operator offers is known to the service alone.
    return validated(EvaluationRequest, given, STORED)


def _prompt(given: str) -> dict[str, Any]:
    from cluster.evaluation.prompts import read_prompt

    if found := _JOB.fullmatch(given):
        return _set(found.groupdict())
    named = read_prompt(given)
    return {"label": named.label[:80], "prompt": named.prompt.to_json()}


def _set(values: dict[str, Any]) -> dict[str, Any]:
    """Return what is given, in mappings inside too."""
    inner = {key: _set(one) if isinstance(one, dict) else one for key, one in values.items()}
    return {key: one for key, one in inner.items() if one is not None and one != {}}


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
