"""At which step a wrong answer first went wrong, and which step a feedback blames for it.

Two ways to know: by the reference procedure of a generated task, exactly; elsewhere by the
localiser, which is the optimizer model itself, over the steps of a plan that it wrote. Knows no
measure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from optimizer.candidate import Problem
from optimizer.diagnostics.similarity import nearest
from optimizer.operators.asking import Asking
from optimizer.operators.decompose import decompose
from optimizer.operators.localise import localise
from optimizer.operators.template import solved
from optimizer.prompt import Step
from optimizer.tasks.generated import GeneratedTask
from optimizer.tasks.generated.faults import first_fault
from optimizer.types import Answer

NameStep = Callable[[str], str | None]
"""Reads the step that a feedback blames: the name of a kind, None where it blames none."""
SHOWN = 4
"""Solved examples that the plan is written from (as ABO's)."""


class Causes(Protocol):
    """What is known of the causes of errors on one task."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every step that may be a cause."""

    @property
    def exact(self) -> bool:
        """Are the causes known, not judged by a model?"""

    async def of(self, errors: Sequence[Answer]) -> list[str | None]:
        """For each wrong answer the step at which it first went wrong; None where that is not
        known. One batch.
        """

    def named(self, feedback: str) -> str | None:
        """The step that a feedback blames; None for none, or none that can be told."""


@dataclass(frozen=True)
class ByProcedure:
    """Exact: a generated task's own procedure says what each item's steps have to show."""

    task: GeneratedTask
    name: NameStep

    @property
    def labels(self) -> tuple[str, ...]:
        return self.task.kinds

    @property
    def exact(self) -> bool:
        return True

    async def of(self, errors: Sequence[Answer]) -> list[str | None]:
        items = [self.task.read(error.example.input) for error in errors]
        # Where all that the answer rests on is shown, only to conclude from it was left.
        return [
            (first_fault(item, self.task.kinds, error.text) or self.task.kinds[-1])
            if item
            else None
            for item, error in zip(items, errors, strict=True)
        ]

    def named(self, feedback: str) -> str | None:
        return self.name(feedback)


@dataclass(frozen=True)
class ByLocaliser:
    """Judged: the optimizer model localises each error in a plan of the task; a feedback blames the
    step with most of its words.
    """

    description: str
    steps: tuple[Step, ...]
    ask: Asking

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"{number}. {step.text}" for number, step in enumerate(self.steps, 1))

    @property
    def exact(self) -> bool:
        return False

    async def of(self, errors: Sequence[Answer]) -> list[str | None]:
        blames = await self.ask([localise(self.description, self.steps, error) for error in errors])
        return [self.labels[blame.step - 1] if blame else None for blame in blames]

    def named(self, feedback: str) -> str | None:
        place = nearest(feedback, [step.text for step in self.steps])
        return None if place is None else self.labels[place]


async def by_localiser(problem: Problem, ask: Asking) -> ByLocaliser:
    """Asks for the plan. Without a readable one there are no steps, and no cause is ever known."""
    text = problem.seed.text()
    [steps] = await ask([decompose(problem.description, text, solved(problem.train[:SHOWN]))])
    return ByLocaliser(problem.description, steps or (), ask)
