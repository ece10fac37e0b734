"""The search context: settings, problem, optimizer model and random source of one search."""

from dataclasses import dataclass
from random import Random

from optimizer.behaviour.settings import BehaviourSettings
from optimizer.candidate import Problem
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
        """Return a prompt with these steps between the opening and the closing line."""
        return Prompt(self.settings.opening, steps, closing=self.settings.closing)
