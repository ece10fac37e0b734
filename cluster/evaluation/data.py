"""The whole of a data file as examples, with the grader that fits it."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.config.task import TaskSettings
from optimizer.errors import DataError
from optimizer.graders.graders import GraderSpec, as_spec
from optimizer.paths import expanded
from optimizer.tasks.files import read_source
from optimizer.tasks.imported import is_file
from optimizer.tasks.loading import default_scorer, fitted
from optimizer.tasks.task import hash_examples
from optimizer.types import Example


@dataclass(frozen=True)
class WholeData:
    """All examples of a file, in its order."""

    name: str
    examples: Sequence[Example]
    grader: GraderSpec
    data_hash: str
    note: str


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
    found = read_source(expanded(task.source))
    grader = task.grader or as_spec(default_scorer(found.examples))
    examples = fitted(found.examples, grader.name)
    note = f"{found.name}: {len(examples)} rows, grader {grader.name}."
    return WholeData(found.name, examples, grader, hash_examples(examples), note)


def load_inputs(source: str, column: str | None) -> Sequence[Example]:
    """Return the rows of a file as inputs alone.

    Args:
        source: A data file.
        column: The column of the input; None: `input`.

    Raises:
        DataError: The file cannot be used.
        StorageError: It cannot be read.
    """
    return read_source(expanded(source)).examples
