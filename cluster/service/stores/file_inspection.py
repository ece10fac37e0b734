"""Reads an uploaded data set as a job would; for a process that can be killed. Knows no HTTP."""

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cluster.service.core.errors import NotFound
from cluster.service.schemas import Row
from optimizer.errors import DataError, shortened
from optimizer.tasks.bounds import ReadLimits
from optimizer.tasks.columns import Columns, MissingColumns
from optimizer.tasks.files import READERS, read_source
from optimizer.tasks.loading import default_scorer
from optimizer.tasks.splitting import first_of_each
from optimizer.types import Example
from serving.storage import Folder
from serving.storage.local import LocalFolder
from serving.storage.text import storable

PREVIEW_ROWS = 5
PREVIEW_CHARACTERS = 10_000
"""The most characters of each text in a preview, which is in every list of files."""
MOST_COLUMNS = 200
"""The most columns of a file that are listed."""
PAGE_CHARACTERS = 4 * 2**20
"""The most characters of the rows in one answer; a longer row comes by itself."""


@dataclass(frozen=True)
class FileSummary:
    """The summary of a data set, as its inspection has found it."""

    rows: int
    scorer: str
    preview: list[Row]
    columns: tuple[str, ...] = ()
    """The columns of a file that has no examples under the usual names."""
    guess: dict[str, str] = field(default_factory=dict)
    """The columns that its examples were shown by, as far as their names tell."""


def row_of(example: Example, most: int | None = None) -> Row:
    """Return an example as the API shows it.

    Args:
        example: The example.
        most: Cut each text to so many characters; None: leave it.
    """

    def cut(text: str) -> str:
        return storable(text if most is None or len(text) <= most else f"{text[:most]}…")

    return Row(
        id=cut(example.id),
        input=cut(example.input),
        answers=[cut(answer) for answer in example.answers[:most]],
        choices=[cut(choice) for choice in example.choices[:most]],
    )


def inspect_file(path: str, name: str, limits: ReadLimits) -> FileSummary:
    """Read a file that a stranger has sent; for a process that can be killed.

    Args:
        path: Where the data is.
        name: The file's own name, whose ending says how to read it.
        limits: What may be read.

    Raises:
        DataError: It is no data set; the first faulty rows are named.
    """
    examples, columns, guess = _examples(path, name, limits)
    preview = [row_of(example, PREVIEW_CHARACTERS) for example in examples[:PREVIEW_ROWS]]
    kept, _ = first_of_each(examples)
    return FileSummary(len(examples), default_scorer(kept), preview, columns, guess)


def rows_of(
    path: str, name: str, limits: ReadLimits, after: int, limit: int
) -> tuple[list[Row], bool]:
    """Return rows after the first `after`, and whether more follow.

    For a process that can be killed. The rows are as many as make an answer of limited size.

    Args:
        path: Where the data is.
        name: The file's own name, whose ending says how to read it.
        limits: What may be read.
        after: Rows to skip.
        limit: The most rows.

    Raises:
        DataError: It is no data set.
    """
    examples, rows, characters = _examples(path, name, limits)[0], list[Row](), 0
    for example in examples[after : after + limit]:
        characters += sum(map(len, (example.input, *example.answers, *example.choices)))
        if rows and characters > PAGE_CHARACTERS:
            break
        rows.append(row_of(example))
    return rows, after + len(rows) < len(examples)


def local_copy(folder: Folder, id: str) -> str:
    """Return the path of an uploaded file's data on this machine.

    If the storage is elsewhere, a copy is made once.

    Raises:
        NotFound: There is no such file.
    """
    names = [
        name
        for name in folder.names()
        if name.startswith("data.") and name.endswith(tuple(READERS))
    ]
    if not names:
        raise NotFound(f"There is no file {id!r}; upload it first.")
    if isinstance(folder, LocalFolder):
        return str(folder.path / names[0])
    copies = LocalFolder(
        Path(tempfile.gettempdir())
        / "promptray-files"
        / hashlib.sha256(folder.place.encode()).hexdigest()[:16]
    )
    if not copies.exists(names[0]):
        copies.write(names[0], folder.read(names[0]))
    return str(copies.path / names[0])


def _examples(
    path: str, name: str, limits: ReadLimits
) -> tuple[tuple[Example, ...], tuple[str, ...], dict[str, str]]:
    """Read a file under its own name; where it has other columns, by those that are likely.

    Returns:
        The examples, the file's columns, and the likely ones; both are empty where the file has
        the usual ones.
    """
    try:
        try:
            return read_source(Path(path), limits, shown=name).examples, (), {}
        except MissingColumns as problem:
            names, guess = problem.names, Columns.guessed(problem.names)
        found = read_source(Path(path), limits, guess, shown=name, answered=False)
    except DataError as problem:
        raise DataError(shortened(str(problem), 1500)) from None
    parts = {"input": guess.input, "target": guess.target}
    return found.examples, names[:MOST_COLUMNS], {part: one for part, one in parts.items() if one}
