"""A task: examples in three disjoint splits, a grader as data, and the baseline.

Knows no file format and no model.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from optimizer.candidate import Problem
from optimizer.grader import Grader
from optimizer.graders.graders import GraderSpec
from optimizer.kept_parts import read_baseline
from optimizer.prompt import Prompt
from optimizer.tasks.columns import visible_row
from optimizer.tasks.locked import LockedSplit
from optimizer.tasks.sizes import Sizes as Sizes
from optimizer.types import Example

_SINGLE = "The prompt is the system message; each input follows, alone, as the user's message."
_CHAT = (
    "The prompt is the system message; the earlier turns of a chat may follow, and then each input "
    "as the user's last message."
)


MOST_LABELS = 50
"""Number of labels above which they are not listed [ours]."""


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
    keep: tuple[str, ...] = ()
    """Parts of the baseline that stay word for word in every prompt, in their order."""
    plain: bool = False
    """The optimizer model is told the description alone, as of a generated task."""

    target_columns: tuple[str, ...] = ()
    """The columns of its rows that hold targets."""

    def visible_row(self, example: Example) -> dict[str, Any]:
        """Return what a model that is a program may see of one of its examples."""
        return visible_row(example, self.target_columns)

    @property
    def scorer(self) -> str:
        """Return the name of its grader."""
        return self.grader.name

    @property
    def seed_prompt(self) -> Prompt:
        """Return the baseline."""
        return Prompt(self.seed_instruction)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the answers that every example of a choice task allows; () where they differ.

        It is () as well where they are more than MOST_LABELS.
        """
        found = {example.choices for example in self.train}
        labels = found.pop() if len(found) == 1 else ()
        return labels if len(labels) <= MOST_LABELS else ()

    def keeping(self, names: Sequence[str]) -> "Task":
        """Return the task with the named and marked parts of its baseline kept.

        Raises:
            SettingsError: The baseline has no such parts (see kept_parts.py).
        """
        baseline = read_baseline(self.seed_instruction, names)
        return replace(self, seed_instruction=baseline.text, keep=baseline.keep)

    def problem(self, grader: Grader | None = None) -> Problem:
        """Return what a strategy may see: no dev items, and no way to the test split.

        Args:
            grader: The task's grader where it was built before, as one that calls a model is; None
                builds it.
        """
        grader = grader or self.grader.build()
        known = Problem(self.description, self.seed_prompt, self.train, grader, keep=self.keep)
        if self.plain:
            return known
        return replace(
            known,
            labels=self.labels,
            answer_contract=_contract(grader.accepts, grader.answer_line),
            where=_CHAT if any(example.history for example in self.train) else _SINGLE,
        )


def _contract(accepts: str, answer_line: str) -> str:
    """Return which answer is right, and how a prompt can ask for one that can be read."""
    lines = [f"Right is {accepts.rstrip('.')}."] if accepts else []
    if answer_line:
        lines.append(f"The answer is read best where the prompt ends with: {answer_line}")
    return "\n".join(lines)


def hash_examples(examples: Iterable[Example], splits: Iterable[str] = ()) -> str:
    """Return the sha256, in hex, of the examples' inputs, answers and choices, in order.

    The turns before an input count where there are any, and so does the split of each example,
    where the source has its own.
    """
    digest = hashlib.sha256()
    for example, split in zip_longest(examples, splits):
        parts: list[object] = [example.input, example.answers, example.choices]
        if example.history:
            parts.append([[turn.role, turn.content] for turn in example.history])
        if split is not None:
            parts.append({"split": split})
        line = json.dumps(parts, ensure_ascii=True)
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
