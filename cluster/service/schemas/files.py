"""Schemas of uploaded data sets."""

from typing import Literal

from cluster.service.schemas.base import Answer


class Row(Answer):
    """An example of a file, as the reader of tasks understands it."""

    id: str
    input: str
    answers: list[str]
    choices: list[str] = []


class StoredFile(Answer):
    """An uploaded data set that was checked."""

    id: str
    object: Literal["file"] = "file"
    filename: str
    bytes: int
    created_at: int
    purpose: Literal["optimize"] = "optimize"
    owner: str
    rows: int
    scorer: str
    """The grader that fits the examples."""
    data_hash: str
    """SHA-256 of the bytes."""
    preview: list[Row]
    """The first rows."""
    columns: list[str] = []
    """The columns of a file that has no `input` and `target`: name those of a task in its request.
    """
    guess: dict[str, str] = {}
    """Those of the columns that the preview takes for input and target, by their names."""
    error: str = ""
    """The reason why the file cannot be used, if its record is damaged; then all but the id is
    unknown.
    """


class FileDeleted(Answer):
    """The confirmation that a file was deleted."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
