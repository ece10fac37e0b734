"""Answer an input with an optimized prompt, in this process and without Ray."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import SETTINGS_FILE
from optimizer.errors import DataError, EndpointError, SettingsError, StorageError
from optimizer.prompt import Prompt
from optimizer.types import Failed, Request
from serving.models import open_in_process
from serving.settings import ModelSettings, addressed, parse_model
from serving.storage import split_place


async def apply_prompt(
    file: str | Path, input: str, target: str | Mapping[str, Any] | None = None
) -> str:
    """Return the target's whole response.

    Args:
        file: A file of a results folder's best/.
        input: What to answer.
        target: The model to use; None for the one that the prompt was optimized for.

    Raises:
        StorageError: The file cannot be read.
        DataError: The file holds no prompt.
        SettingsError: The model is not known any more.
        AccessError: The model refuses the key.
        EndpointError: The model does not answer.
    """
    data = _read(file)
    prompt = Prompt.from_json(data.get("prompt", data))
    model = parse_model(addressed(target)) if target else _own_target(file, data)
    (outcome,) = await open_in_process(model).complete([Request(prompt.render(input))])
    if isinstance(outcome, Failed):
        raise EndpointError(f"The model {model.label} gave no answer: {outcome.reason}")
    return outcome.text


def _read(file: str | Path) -> Mapping[str, Any]:
    folder, name = split_place(file)
    if not folder.exists(name):
        raise StorageError(
            f"There is no prompt file {file}; take one from a results folder's best/."
        )
    try:
        data = json.loads(folder.read(name))
    except (ValueError, RecursionError) as problem:
        if isinstance(problem, StorageError):
            raise
        raise DataError(
            f"The prompt file {file} is not JSON; take one from a results folder's best/."
        ) from problem
    if not isinstance(data, dict):
        raise DataError(
            f"The prompt file {file} holds no prompt; take one from a results folder's best/."
        )
    return data


def _own_target(file: str | Path, data: Mapping[str, Any]) -> ModelSettings:
    """Return the target of the prompt's results folder, else the one that its own label names."""
    best, _ = split_place(file)
    results, _ = split_place(best.absolute().place)
    if results.exists(SETTINGS_FILE):
        return ExperimentSettings.view(results.place_of(SETTINGS_FILE)).target_model
    label = str(data.get("target", ""))
    if label.startswith("builtin:"):
        return parse_model(label)
    raise SettingsError(
        f"{file} has no endpoint URL of its target model; name the model with --target."
    )
