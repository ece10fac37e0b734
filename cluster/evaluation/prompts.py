"""Prompts of any origin: a file of best/, a text file, or the text itself."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.errors import DataError, StorageError, shortened
from optimizer.prompt import Prompt
from serving.storage import split_place

_TEXTS = (".txt", ".md", ".prompt")
_LONGEST_PATH = 1000
_WORDS_OF_A_LABEL = 4


@dataclass(frozen=True)
class NamedPrompt:
    """A prompt with a name for people, and what its file says beside it."""

    label: str
    prompt: Prompt
    about: dict[str, Any]
    """The file of a results folder's best/; empty for other prompts."""
    place: str = ""
    """The path or URI of its file; "" for a text."""


def read_prompt(given: str) -> NamedPrompt:
    """Return the prompt that a text names or is.

    Args:
        given: A .json file from best/ (or of a prompt alone), a .txt or .md file, or the prompt's
            own text.

    Raises:
        StorageError: There is no such file, or it cannot be read.
        DataError: The file holds no prompt.
    """
    suffix = Path(given).suffix.lower() if _may_be_a_place(given) else ""
    if suffix == ".json":
        data = read_prompt_file(given)
        return NamedPrompt(
            Path(given).stem, Prompt.from_json(data.get("prompt", data)), dict(data), given
        )
    if suffix in _TEXTS:
        return NamedPrompt(Path(given).stem, Prompt(_text_of(given)), {}, given)
    words = re.findall(r"\w+", given)[:_WORDS_OF_A_LABEL]
    return NamedPrompt(shortened(" ".join(words), 40) or "empty prompt", Prompt(given), {})


def read_prompt_file(file: str | Path) -> dict[str, Any]:
    """Return the content of a prompt's .json file.

    Raises:
        StorageError: There is no such file, or it cannot be read.
        DataError: It holds no prompt.
    """
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


def about_of_all(prompts: Sequence[NamedPrompt], key: str) -> Any:
    """Return what the prompts' files say of something; None where they say nothing, or differ."""
    said = [prompt.about.get(key) for prompt in prompts]
    return said[0] if said and all(one == said[0] for one in said) else None


def _may_be_a_place(given: str) -> bool:
    return "\n" not in given and len(given) < _LONGEST_PATH


def _text_of(place: str) -> str:
    folder, name = split_place(place)
    if not folder.exists(name):
        raise StorageError(f"There is no prompt file {place}.")
    try:
        return folder.read(name).decode().strip("\n")
    except UnicodeDecodeError as problem:
        raise DataError(f"The prompt file {place} is not UTF-8 text.") from problem
