"""The settings of a task: where its examples come from, how they are graded, how they are split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cluster.config.component_spec import folder_of, is_stored, may_import
from cluster.config.grader import GraderText, check_grader, with_scorer
from cluster.config.labels import slug
from cluster.config.sizes import SizeSettings as SizeSettings
from optimizer.errors import SettingsError, shortened
from optimizer.graders.graders import GraderSpec, as_spec
from optimizer.kept_parts import read_baseline
from optimizer.paths import expanded
from optimizer.registry import is_reference, short_name
from optimizer.tasks.columns import Columns
from optimizer.tasks.imported import TASKS, is_file
from optimizer.tasks.loading import load_task
from optimizer.tasks.sizes import SizeRule
from optimizer.tasks.task import Task
from serving.settings.validation import Strict

MOST_BASELINE_BYTES = 2_000_000
"""Maximum size of a baseline's file [ours]: no model reads a longer prompt."""
Part = Annotated[str, Field(max_length=20_000)]


def is_none(value: object) -> bool:
    """Return whether a setting is not given."""
    return value is None


def is_empty(value: str) -> bool:
    """Return whether a text is not given."""
    return not value


class ColumnSettings(Strict):
    """Which columns of a file hold what; a part that is not named is looked for under its name.

    A path reaches into nested values (`user.name`, `answers.0`). Input and target may also be a
    template of several: "{{question}}, given {{context}}".
    """

    input: Part = ""
    """Usually `input`, or the last user turn of `messages`."""
    target: Part = ""
    """Usually `target`, or `ideal`, or the last assistant turn of `messages`."""
    choices: Part = ""
    """Usually `choices`: the allowed answers of an example."""
    id: Part = ""
    """Usually none: the examples are numbered."""
    split: Part = ""
    """Usually none: the splits are drawn. Its values are train, dev (or validation) and test."""

    def build(self) -> Columns:
        """Return the columns as the optimizer takes them."""
        return Columns(**self.model_dump())


class TaskSettings(Strict):
    """A task: only `source` is required, and may stand alone as a text."""

    source: str
    """A generated task's name, the path of a BIG-bench or BBH .json, a .json list, a .jsonl, .csv,
    .tsv or .parquet file, or a task of somebody else's (optimizer.tasks.imported.TASKS). Three
    files, {train: PATH, dev: PATH, test: PATH}, are the splits themselves; without dev it is drawn
    from train.
    """
    dev_file: Annotated[str | None, Field(exclude_if=is_none)] = None
    """The file of the dev split, where `source` is that of the train split."""
    test_file: Annotated[str | None, Field(exclude_if=is_none)] = None
    """The file of the test split, where `source` is that of the train split."""
    columns: Annotated[ColumnSettings | None, Field(exclude_if=is_none)] = None
    """None takes the usual names. `input` beside `source` is short for `columns.input`."""
    description: Annotated[str, Field(max_length=4_000, exclude_if=is_empty)] = ""
    """What the task is, in a sentence or two for the optimizer model; "" takes the file's own."""
    file_name: Annotated[str, Field(exclude_if=is_empty)] = ""
    """The file's name for messages, where it lies under another one."""
    label: str = ""
    """Its name in tables and file names; "" takes the source's."""
    scorer: GraderText | None = None
    """The grader: a name (`promptray list` shows them), or a mapping {kind: NAME, ...} with its
    settings; None lets the examples decide. Files may call it `grader` as well.
    """
    baseline: Annotated[str | None, Field(exclude_if=lambda text: text is None)] = None
    """The prompt that a search starts from, of any length: a text, or `{file: system.md}`, relative
    to the settings file. None takes the default, one line.
    """
    seed_instruction: str | None = None
    """The older name of `baseline`, under which earlier settings have it."""
    keep: Annotated[tuple[str, ...], Field(exclude_if=lambda names: not names)] = ()
    """Parts of the baseline that stay word for word in every prompt: heading lines, whose sections
    are kept up to the next heading of the same or a higher level, or literal texts. What stands
    between `<keep>` and `</keep>` in the baseline is kept, too, without the two marks.
    """
    sizes: SizeSettings | None = None
    """None takes the experiment's."""

    @model_validator(mode="before")
    @classmethod
    def _with_files(cls, data: Any) -> Any:
        """Read the short forms of `source` and `columns`."""
        if not isinstance(data, Mapping):
            return data
        given = dict(data)
        if isinstance(source := given.get("source"), Mapping):
            if not {"train", "test"} <= source.keys() <= {"train", "dev", "test"}:
                raise SettingsError(
                    "A source of several files is {train: PATH, dev: PATH, test: PATH}; only dev "
                    "may be left out."
                )
            given["source"], given["test_file"] = source["train"], source["test"]
            given["dev_file"] = source.get("dev")
        if (part := given.pop("input", None)) is not None:
            columns = given.get("columns") or {}
            if not isinstance(columns, Mapping) or columns.get("input"):
                raise SettingsError("input and columns.input say the same: give one of them.")
            given["columns"] = {**columns, "input": part}
        return given

    @model_validator(mode="after")
    def _has_a_file(self) -> Self:
        if not is_file(self.source):
            given = ("dev_file", "test_file", "columns")
            if odd := [name for name in given if getattr(self, name) is not None]:
                raise SettingsError(
                    f"The task {self.source} is no file, so it has no {' and no '.join(odd)}."
                )
        elif self.dev_file is not None and self.test_file is None:
            raise SettingsError("A task with a dev_file needs a test_file as well.")
        return self

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"source": data}
        return with_scorer(data)

    @field_validator("scorer")
    @classmethod
    def _is_plain(cls, value: GraderText | None) -> GraderText | None:
        """Write a grader without settings as its name alone."""
        return None if value is None else as_spec(value).to_json()

    @field_validator("baseline", mode="before")
    @classmethod
    def _as_text(cls, value: Any, info: ValidationInfo) -> Any:
        return _text_of_baseline(value, folder_of(info), may_import(info))

    @model_validator(mode="after")
    def _keeps_what_is_there(self, info: ValidationInfo) -> Self:
        if self.baseline is not None and self.seed_instruction is not None:
            raise SettingsError("seed_instruction is the older name of baseline: give one of them.")
        if self.baseline_text is not None:
            read_baseline(self.baseline_text, self.keep)
        elif self.keep and not (is_reference(self.source) or is_file(self.source)):
            # Others may bring a baseline with their data.
            raise SettingsError(
                "keep names parts of the baseline, and this task has the default one; give "
                "baseline a text, or {file: system.md}."
            )
        return self

    @model_validator(mode="after")
    def _is_imported(self, info: ValidationInfo) -> Self:
        if may_import(info):
            if TASKS.is_elsewhere(self.source):  # else it may be a file
                TASKS.import_name(self.source)
            if self.grader is not None:
                for registry, name in self.grader.imports():
                    registry.import_name(name)
        if isinstance(self.scorer, dict) and not is_stored(info):
            check_grader(as_spec(self.scorer))
        return self

    @property
    def grader(self) -> GraderSpec | None:
        """Return the grader as data; None where the examples are to decide."""
        return None if self.scorer is None else as_spec(self.scorer)

    @property
    def files(self) -> dict[str, str]:
        """Return the paths of its files, each by the setting that names it."""
        named = {
            "source": self.source if is_file(self.source) else None,
            "dev_file": self.dev_file,
            "test_file": self.test_file,
        }
        return {name: path for name, path in named.items() if path is not None}

    @property
    def baseline_text(self) -> str | None:
        """Return the baseline, by whichever name it was given; None for the default."""
        return self.seed_instruction if self.baseline is None else self.baseline

    def with_files(self, path_by_setting: Mapping[str, str]) -> "TaskSettings":
        """Return the settings with other paths of the same files."""
        return self.model_copy(update=dict(path_by_setting))

    def load(self, sizes: SizeRule, seed: int) -> Task:
        """Return the task with its splits.

        Args:
            sizes: How many examples each split gets.
            seed: Draws the splits.

        Raises:
            DataError: Its examples cannot be used.
            StorageError: Its file cannot be read.
        """
        others = {"dev": self.dev_file, "test": self.test_file}
        return load_task(
            self.source,
            sizes=sizes,
            seed=seed,
            scorer=self.grader,
            seed_instruction=self.baseline_text,
            description=self.description,
            columns=self.columns.build() if self.columns else None,
            others={part: path for part, path in others.items() if path is not None},
            shown=self.file_name,
            answered=self.grader is None or self.grader.needs_target,
        ).keeping(self.keep)

    @property
    def title(self) -> str:
        """Return its label, or one made of its source."""
        named = short_name(self.source) if is_reference(self.source) else Path(self.source).stem
        return self.label or slug(named)


def _text_of_baseline(given: Any, folder: Path | None, may_read: bool) -> Any:
    """Return the text of a baseline; what is no mapping is returned as it is.

    Args:
        given: A text, or `{file: system.md}`.
        folder: The folder of the settings file; None for the present one.
        may_read: Whether files may be read for these settings.

    Raises:
        SettingsError: The file cannot be read.
    """
    if not isinstance(given, Mapping):
        return given
    name = given.get("file")
    if list(given) != ["file"] or not isinstance(name, str):
        raise SettingsError("A baseline is a text, or {file: system.md}, a file beside these.")
    if not may_read:
        raise SettingsError("A baseline must be given as a text here, and not as a file.")
    path = (folder or Path()) / expanded(name)
    try:
        if path.stat().st_size > MOST_BASELINE_BYTES:
            raise SettingsError(
                f"The baseline {shortened(str(path))} has more than {MOST_BASELINE_BYTES:,} bytes; "
                "give a shorter one."
            )
        # The line break at a file's end is an editor's, and no part of the prompt.
        return path.read_text("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            f"The baseline {shortened(str(path))} cannot be read ({reason}); name a text file, "
            "relative to the settings file."
        ) from problem
