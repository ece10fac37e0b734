"""The search context: settings, problem, optimizer model and random source of one search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from optimizer.behaviour.settings import BehaviourSettings
from optimizer.candidate import Problem, Standing
from optimizer.operators.asking import Asking
from optimizer.prompt import Prompt, Step


@dataclass(frozen=True)
class SearchContext:
    """The means that every part of a search over behaviour works with.

    A part puts its questions about all prompts of a phase in one batch.
    """

    settings: BehaviourSettings
    problem: Problem
    ask: Asking
    rng: Random

    def prompt(self, steps: tuple[Step, ...]) -> Prompt:
        """Return a prompt with these steps between the opening and the closing line.

        They stand behind the baseline where it says something of the task: its rules stay.
        """
        opening, closing = self.settings.opening, self.settings.closing
        if self.problem.adds_steps:
            baseline = self.problem.seed.instruction
            return Prompt(baseline, steps, closing=closing, opening=opening)
        return Prompt(opening, steps, closing=closing)

    def measured(self, standings: Sequence[Standing]) -> "SearchContext":
        """Return the context with the baseline's score as round 0 has measured it."""
        return replace(self, problem=self.problem.with_baseline_score(standings))
