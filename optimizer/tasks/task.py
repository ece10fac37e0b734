"""A task: examples in three disjoint splits, a grader as data, and the baseline.

Knows no file format and no model.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from optimizer.candidate import Problem
from optimizer.errors import SettingsError
from optimizer.grader import Grader
from optimizer.graders.graders import GraderSpec
from optimizer.prompt import Prompt
from optimizer.tasks.locked import LockedSplit
from optimizer.types import Example

SEED_INSTRUCTION = "Let's think step by step."
"""Zero-shot chain of thought (Kojima et al. 2022, arXiv 2205.11916); the starting prompt of Ma et
al. 2024, arXiv 2402.02101.
"""


@dataclass(frozen=True)
class Sizes:
    """Number of examples of each split [ours].

    Raises:
        SettingsError: For a split without examples.
    """

    train: int = 50
    dev: int = 50
    test: int = 100

    def __post_init__(self) -> None:
        for split in ("train", "dev", "test"):
            if getattr(self, split) < 1:
                raise SettingsError(
                    f"The {split} split needs at least 1 example, not {getattr(self, split)}; "
                    f"raise sizes.{split}."
                )

    @property
    def total(self) -> int:
        """Return the number of examples of all splits."""
        return self.train + self.dev + self.test


@dataclass(frozen=True)
class Task:
    """A task to solve.

    No input stands in two splits; the order within a split depends on the random seed.
    """

    name: str
    description: str
    """One or two sentences for the optimizer model; "" where the source has none."""
    seed_instruction: str
    grader: GraderSpec
    """Its name in optimizer.graders.graders.GRADERS, and its settings."""
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: LockedSplit
    """The locked test split: nothing that gets a Task can train or select on it by mistake."""
    data_hash: str
    """`hash_examples` of all usable examples of the source: the same for every seed where the
    source is a file.
    """
    data_note: str = ""
    """A sentence for people on which data was read of a file, and which was not; "" for a generated
    task.
    """

    @property
    def scorer(self) -> str:
        """Return the name of its grader."""
        return self.grader.name

    @property
    def seed_prompt(self) -> Prompt:
        """Return the baseline."""
        return Prompt(self.seed_instruction)

    def problem(self, grader: Grader | None = None) -> Problem:
        """Return what a strategy may see: no dev items, and no way to the test split.

        Args:
            grader: The task's grader where it was built before, as one that calls a model is; None
                builds it.
        """
        return Problem(
            self.description, self.seed_prompt, self.train, grader or self.grader.build()
        )


def hash_examples(examples: Iterable[Example]) -> str:
    """Return the sha256, in hex, of the examples' inputs, answers and choices, in order."""
    digest = hashlib.sha256()
    for example in examples:
        line = json.dumps([example.input, example.answers, example.choices], ensure_ascii=True)
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
