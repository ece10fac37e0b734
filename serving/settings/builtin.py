"""The two models that come with promptray: `builtin:target`, a small transformer, and `builtin:optimizer`, a rulebook."""

import hashlib
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from optimizer.errors import SettingsError
from serving.builtin import TARGET_FOLDER
from serving.settings.base import Served

_SERVING = Path(__file__).parents[1]
_TARGET_FILES = (TARGET_FOLDER / "ctranslate2" / "model.bin", TARGET_FOLDER / "tokenizer.json", _SERVING / "builtin" / "chat.py")
_ENGINES = _SERVING / "engines"
_RULEBOOK_FILES = (
    *(_ENGINES / f"{name}.py" for name in ("rulebook", "metaprompt", "phrasebook")),
    *sorted((_ENGINES / "rules").glob("[!.]*.py")))  # by name: a folder's own order differs between machines


class TargetSettings(Served):
    """`builtin:target`: the small transformer, run by CTranslate2."""

    kind: Literal["builtin"] = "builtin"
    name: Literal["target"] = "target"
    threads: int = Field(2, ge=1, le=64)
    """Threads a replica, each with a batch of its own; 2 fill the two cores of a laptop's free half."""

    @property
    def label(self) -> str:
        return "builtin:target"

    @property
    def identity(self) -> str:
        return f"builtin:target@{_revision(*_TARGET_FILES)}"


class OptimizerSettings(Served):
    """`builtin:optimizer`: the rulebook, a stand-in for a large optimizer model."""

    stand_in: ClassVar[bool] = True
    kind: Literal["builtin"] = "builtin"
    name: Literal["optimizer"] = "optimizer"
    prior_bias: float = Field(0.1, ge=0.0, le=1.0)
    """How often it ignores the evidence (Ma et al., section 4: reflection is biased by prior knowledge); the figure is ours."""
    seed: int = 0

    @property
    def label(self) -> str:
        return "builtin:optimizer"

    @property
    def identity(self) -> str:
        return f"builtin:optimizer@{_revision(*_RULEBOOK_FILES)}(prior_bias={self.prior_bias},seed={self.seed})"


BUILTIN_MODELS: dict[str, type[TargetSettings | OptimizerSettings]] = {"target": TargetSettings, "optimizer": OptimizerSettings}


@cache
def _revision(*files: Path) -> str:
    """Eight hex digits of the files that decide a model's answers."""
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            raise SettingsError(f"A built-in model lacks its file {file.name}: install promptray again.")
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]
