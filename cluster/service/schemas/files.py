"""Uploaded data sets."""

from typing import Literal

from cluster.service.schemas.base import Answer


class Row(Answer):
    """An example of a file, as the tasks' reader understands it."""

    id: str
    input: str
    answers: list[str]
    choices: list[str] = []


class StoredFile(Answer):
    """An uploaded data set, checked."""

    id: str
    object: Literal["file"] = "file"
    filename: str
    bytes: int
    created_at: int
    purpose: Literal["optimize"] = "optimize"
    owner: str
    rows: int
    scorer: str
    """That the examples call for."""
    data_hash: str
    """SHA-256 of the bytes."""
    preview: list[Row]
    """The first rows."""
    error: str = ""
    """Why it cannot be used, where its record is damaged; all else but the id is then unknown."""


class FileDeleted(Answer):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
