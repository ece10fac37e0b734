"""The built-in models: `builtin:target`, a small transformer, and the rulebook.

The rulebook is `builtin:optimizer`.
"""

from functools import cache
from typing import ClassVar, Literal

from pydantic import Field

from optimizer.errors import SettingsError
from serving.builtin import TARGET_FOLDER
from serving.settings.base import Served

TARGET_REVISION = "617321bd"
RULEBOOK_REVISION = "98f88351"
"""Versions of the two models' answers, in their identities and so in every ledger. They are
written down, and not computed from source files, so that moving or renaming a file leaves old
answers paid for. Whoever changes an answer gives the model a new revision:
tests/unit/serving/builtin/test_builtin_revisions.py has answers on record, and fails until then.
"""
_TARGET_FILES = (TARGET_FOLDER / "ctranslate2" / "model.bin", TARGET_FOLDER / "tokenizer.json")


class TargetSettings(Served):
    """Settings of `builtin:target`: the small transformer, run by CTranslate2."""

    kind: Literal["builtin"] = "builtin"
    name: Literal["target"] = "target"
    any_data: bool = False
    """Let it answer tasks that it was not made for, where its figures mean nothing."""
    threads: int = Field(2, ge=1, le=64)
    """Threads of a replica, each with a batch of its own [ours]; 2 fill the two cores of a
    laptop's free half.
    """

    @property
    def label(self) -> str:
        """Return "builtin:target"."""
        return "builtin:target"

    @property
    def identity(self) -> str:
        """Return the label with the revision.

        Raises:
            SettingsError: If the model's files are missing.
        """
        # In the identity, which every use of the model asks for first.
        _expect_files()
        return f"builtin:target@{TARGET_REVISION}"


class OptimizerSettings(Served):
    """Settings of `builtin:optimizer`: the rulebook, a stand-in for a large optimizer model."""

    stand_in: ClassVar[bool] = True
    kind: Literal["builtin"] = "builtin"
    name: Literal["optimizer"] = "optimizer"
    any_data: bool = False
    """Let it read tasks that it was not made for, to which its prompts do not fit."""
    prior_bias: float = Field(0.1, ge=0.0, le=1.0)
    """Share of questions in which it ignores the evidence (Ma et al., section 4: reflection is
    biased by prior knowledge); the figure is [ours].
    """
    seed: int = 0

    @property
    def label(self) -> str:
        """Return "builtin:optimizer"."""
        return "builtin:optimizer"

    @property
    def identity(self) -> str:
        """Return the label with the revision and the settings that decide the answers."""
        return (
            f"builtin:optimizer@{RULEBOOK_REVISION}(prior_bias={self.prior_bias},seed={self.seed})"
        )


BUILTIN_MODELS: dict[str, type[TargetSettings | OptimizerSettings]] = {
    "target": TargetSettings,
    "optimizer": OptimizerSettings,
}


@cache
def _expect_files() -> None:
    """Check that the target's weights are installed, before Ray is started for nothing.

    Raises:
        SettingsError: If a file is missing.
    """
    for file in _TARGET_FILES:
        if not file.is_file():
            raise SettingsError(
                f"A built-in model lacks its file {file.name}: install promptray again."
            )
