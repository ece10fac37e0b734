"""The settings of a task: where its examples come from, how they are graded, how they are split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cluster.config.component_spec import is_stored, may_import
from cluster.config.grader import GraderText, check_grader, read_grader
from cluster.config.labels import slug
from optimizer.errors import SettingsError
from optimizer.graders.graders import GRADERS, GraderSpec
from optimizer.registry import is_reference, short_name
from optimizer.tasks.imported import TASKS
from optimizer.tasks.task import Sizes
from serving.settings.validation import Strict


class SizeSettings(Strict):
    """How many examples each split gets."""

    train: Annotated[int, Field(ge=1)] = 50
    dev: Annotated[int, Field(ge=1)] = 50
    test: Annotated[int, Field(ge=1)] = 100

    def build(self) -> Sizes:
        """Return the sizes as the optimizer takes them."""
        return Sizes(self.train, self.dev, self.test)


class TaskSettings(Strict):
    """A task: only `source` is required, and may stand alone as a text."""

    source: str
    """A generated task's name, the path of a BIG-bench or BBH .json, a .jsonl, .csv or .parquet
    file, or a task of somebody else's (optimizer.tasks.imported.TASKS).
    """
    label: str = ""
    """Its name in tables and file names; "" takes the source's."""
    scorer: GraderText | None = None
    """The grader: a name (`promptray list` shows them), or a mapping {kind: NAME, ...} with its
    settings; None lets the examples decide. Files may call it `grader` as well.
    """
    seed_instruction: str | None = None
    sizes: SizeSettings | None = None
    """None takes the experiment's."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"source": data}
        # Recorded settings, and with them the course of an experiment, hold the older name.
        if isinstance(data, Mapping) and "grader" in data:
            if data.get("scorer") is not None:
                raise SettingsError("scorer is the older name of grader: give one of them.")
            data = {key: value for key, value in data.items() if key != "scorer"}
            return {("scorer" if key == "grader" else key): value for key, value in data.items()}
        return data

    @field_validator("scorer")
    @classmethod
    def _is_plain(cls, value: GraderText | None) -> GraderText | None:
        """Write a grader without settings as its name alone."""
        return None if value is None else read_grader(value).to_json()

    @model_validator(mode="after")
    def _is_imported(self, info: ValidationInfo) -> Self:
        if may_import(info):
            if TASKS.is_elsewhere(self.source):  # else it may be a file
                TASKS.import_name(self.source)
            if self.grader is not None:
                GRADERS.import_name(self.grader.name)
        if isinstance(self.scorer, dict) and not is_stored(info):
            check_grader(read_grader(self.scorer))
        return self

    @property
    def grader(self) -> GraderSpec | None:
        """Return the grader as data; None where the examples are to decide."""
        return None if self.scorer is None else read_grader(self.scorer)

    @property
    def title(self) -> str:
        """Return its label, or one made of its source."""
        named = short_name(self.source) if is_reference(self.source) else Path(self.source).stem
        return self.label or slug(named)
