"""Causes: the step where a wrong answer first went wrong, and the step that a feedback blames.

There are two ways to know: by the reference procedure of a generated task, exactly; elsewhere by
the localiser, which is the optimizer model itself, over the steps of a plan that it wrote. Knows no
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
from optimizer.prompt import Step
from optimizer.questions.template import solved
from optimizer.tasks.generated import GeneratedTask
from optimizer.tasks.generated.faults import first_fault
from optimizer.types import Answer

NameStep = Callable[[str], str | None]
"""Reads the step that a feedback blames: the name of a kind, None where it blames none."""
SHOWN = 4
"""Solved examples that the plan is written from (as ABO's)."""


class Causes(Protocol):
    """The known causes of errors on one task."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return every step that may be a cause."""

    @property
    def exact(self) -> bool:
        """Return whether the causes are known, not judged by a model."""

    async def of(self, errors: Sequence[Answer]) -> list[str | None]:
        """Return for each wrong answer the step where it first went wrong; one batch.

        A step is None where it is not known.
        """

    def named(self, feedback: str) -> str | None:
        """Return the step that a feedback blames; None if it is unclear, or none."""


@dataclass(frozen=True)
class ByProcedure:
    """Exact causes: a generated task's own procedure defines what each item's steps must show."""

    task: GeneratedTask
    name: NameStep

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the kinds of the task's steps."""
        return self.task.kinds

    @property
    def exact(self) -> bool:
        """Return True."""
        return True

    async def of(self, errors: Sequence[Answer]) -> list[str | None]:
        """Return the first fault of each wrong answer."""
        items = [self.task.read(error.example.input) for error in errors]
        # Where all that the answer rests on is shown, only to conclude from it was left.
        return [
            (first_fault(item, self.task.kinds, error.text) or self.task.kinds[-1])
            if item
            else None
            for item, error in zip(items, errors, strict=True)
        ]

    def named(self, feedback: str) -> str | None:
        """Return the step that a feedback blames, or None."""
        return self.name(feedback)


@dataclass(frozen=True)
class ByLocaliser:
    """Judged causes: the optimizer model localises each error in a plan of the task.

    A feedback blames the step with most of its words.
    """

    problem: Problem
    steps: tuple[Step, ...]
    ask: Asking

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the steps of the plan with their numbers."""
        return tuple(f"{number}. {step.text}" for number, step in enumerate(self.steps, 1))

    @property
    def exact(self) -> bool:
        """Return False."""
        return False

    async def of(self, errors: Sequence[Answer]) -> list[str | None]:
        """Return the step that the localiser blames for each wrong answer."""
        blames = await self.ask([localise(self.problem, self.steps, error) for error in errors])
        return [self.labels[blame.step - 1] if blame else None for blame in blames]

    def named(self, feedback: str) -> str | None:
        """Return the step whose words are nearest to the feedback, or None."""
        place = nearest(feedback, [step.text for step in self.steps])
        return None if place is None else self.labels[place]


async def by_localiser(problem: Problem, ask: Asking) -> ByLocaliser:
    """Ask for the plan, and return causes judged by it.

    Without a readable plan there are no steps, and no cause is ever known.
    """
    text = problem.seed.text()
    [steps] = await ask([decompose(problem, text, solved(problem.train[:SHOWN]))])
    return ByLocaliser(problem, steps or (), ask)
