"""A model that plays a script: for load and fault tests, for demonstrations, and for runs that must
not cost anything.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr, field_validator

from optimizer.paths import whole
from serving.settings.base import Served
from serving.settings.script import Script


class ScriptedSettings(Served):
    """`scripted:FILE`: replies by rules and chances, with refusals, cut and empty replies where the
    script has them.

    The script is read where the settings are, and travels with them: a replica needs no file.
    """

    kind: Literal["scripted"] = "scripted"
    script: Path
    """A YAML or .jsonl file; serving/settings/script.py says what stands in it."""
    seed: int = 0
    """Another seed draws other replies. Equal requests get equal replies."""
    seconds: float = Field(0.0, ge=0, le=3600)
    """What a call of a replica takes, however many requests it carries."""
    log: Path | None = None
    """A file to which each replica, where it runs, appends a line of JSON a reply: what was played,
    and by which rule.
    """
    _script: Script = PrivateAttr()

    @field_validator("script")
    @classmethod
    def _can_be_read(cls, file: Path) -> Path:
        place = whole(file)
        Script.read(place)
        return place

    @field_validator("log")
    @classmethod
    def _whole_path(cls, file: Path | None) -> Path | None:
        """A replica stands in another folder than whoever wrote a short path."""
        return file and whole(file)

    def model_post_init(self, context: object) -> None:
        self._script = Script.read(self.script)

    @property
    def label(self) -> str:
        return f"scripted:{self.script.stem}"

    @property
    def identity(self) -> str:
        return f"{self.label}@{self._script.revision}(seed={self.seed})"

    @property
    def loaded_script(self) -> Script:
        """What stands in the file, as it was read with the settings."""
        return self._script
