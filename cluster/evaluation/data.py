"""The whole of a data file as examples, with the grader that fits it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.config.task import TaskSettings
from optimizer.errors import DataError
from optimizer.graders.graders import GraderSpec
from optimizer.paths import expanded
from optimizer.tasks.columns import Columns
from optimizer.tasks.files import Source, read_source
from optimizer.tasks.imported import is_file
from optimizer.tasks.loading import default_scorer, fitted
from optimizer.tasks.targets import solved, with_yes_no
from optimizer.tasks.task import hash_examples
from optimizer.types import Example


@dataclass(frozen=True)
class WholeData:
    """All examples of a file, in its order, each with its whole row."""

    name: str
    examples: Sequence[Example]
    grader: GraderSpec
    data_hash: str
    note: str
    target_columns: tuple[str, ...] = ()
    """The columns of its rows that hold targets."""


def load_whole(task: TaskSettings) -> WholeData:
    """Return all examples of a task's file; one that stands twice counts twice.

    Raises:
        DataError: The file cannot be used.
        StorageError: It cannot be read.
    """
    if not is_file(task.source):
        raise DataError(
            f"{task.source} is a generated task, which is made for splits; name a data file."
        )
    columns = task.columns.build() if task.columns else None
    answered = task.grader is None or task.grader.needs_target
    found = read_source(
        expanded(task.source), columns=columns, shown=task.file_name, answered=answered
    )
    read = [with_yes_no(example) for example in solved(found.examples)]
    grader = task.grader or GraderSpec(default_scorer(read))
    examples = fitted(read, grader.name)
    note = f"{found.name}: {len(examples)} rows, grader {grader.name}."
    whole = _with_rows(found, examples)
    hidden = (columns or Columns()).of_target(list(whole[0].fields)) if whole else ()
    return WholeData(found.name, whole, grader, hash_examples(examples), note, hidden)


def load_inputs(source: str, column: str | None) -> Sequence[Example]:
    """Return the rows of a file as inputs, which need no target.

    Args:
        source: A data file.
        column: The column of the input, or a template; None: `input`.

    Raises:
        DataError: The file cannot be used.
        StorageError: It cannot be read.
    """
    columns = Columns(input=column or "")
    found = read_source(expanded(source), columns=columns, answered=False)
    return _with_rows(found, found.examples)


def _with_rows(found: Source, examples: Sequence[Example]) -> Sequence[Example]:
    if found.rows_at is None:
        return examples
    rows = found.rows_at(range(1, len(examples) + 1))
    return [replace(example, fields=rows[number]) for number, example in enumerate(examples, 1)]
