"""Settings of a model that plays a script.

It is for load and fault tests, for demonstrations, and for runs that must not cost anything.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr, field_validator

from optimizer.paths import whole
from serving.settings.base import Served
from serving.settings.script import Script


class ScriptedSettings(Served):
    """Settings of `scripted:FILE`: replies by rules and chances.

    Some may be refusals, and some cut or empty. The script is read where the settings are, and
    travels with them: a replica needs no file.
    """

    kind: Literal["scripted"] = "scripted"
    script: Path
    """A YAML or .jsonl file; serving/settings/script.py describes its content."""
    seed: int = 0
    """Random seed: another seed draws other replies. Equal requests get equal replies."""
    seconds: float = Field(0.0, ge=0, le=3600)
    """Seconds that a call of a replica takes, however many requests it carries."""
    log: Path | None = None
    """A file to which each replica, where it runs, appends a line of JSON for each reply: the
    reply's kind and its rule.
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
        """Return the absolute path: a replica has another working directory."""
        return file and whole(file)

    # Read here, so that the script travels inside the settings.
    def model_post_init(self, context: object) -> None:
        """Read the script."""
        self._script = Script.read(self.script)

    @property
    def label(self) -> str:
        """Return the kind and the file's name."""
        return f"scripted:{self.script.stem}"

    @property
    def identity(self) -> str:
        """Return the label with the file's revision and the seed."""
        return f"{self.label}@{self._script.revision}(seed={self.seed})"

    @property
    def loaded_script(self) -> Script:
        """Return the script as it was read with the settings."""
        return self._script
