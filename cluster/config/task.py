"""The settings of a task: where its examples come from, how they are graded, how they are split."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, model_validator

from cluster.config.component_spec import may_import
from cluster.config.labels import slug
from optimizer.graders.graders import GRADERS
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
    scorer: str | None = None
    """exact, choice, number or regex, or one of somebody else's; None lets the examples decide."""
    seed_instruction: str | None = None
    sizes: SizeSettings | None = None
    """None takes the experiment's."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"source": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _is_imported(self, info: ValidationInfo) -> Self:
        if may_import(info):
            if TASKS.is_elsewhere(self.source):  # else it may be a file
                TASKS.import_name(self.source)
            if self.scorer is not None:
                GRADERS.import_name(self.scorer)
        return self

    @property
    def title(self) -> str:
        """Return its label, or one made of its source."""
        named = short_name(self.source) if is_reference(self.source) else Path(self.source).stem
        return self.label or slug(named)
