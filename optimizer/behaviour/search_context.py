"""What every part of a search over behaviour works with: the settings, the problem, the optimizer
model and chance.
"""

from dataclasses import dataclass
from random import Random

from optimizer.behaviour.settings import BehaviourSettings
from optimizer.candidate import Problem
from optimizer.operators.asking import Asking
from optimizer.prompt import Prompt, Step


@dataclass(frozen=True)
class SearchContext:
    """One search's means. The parts ask about all prompts of a moment together, in one batch."""

    settings: BehaviourSettings
    problem: Problem
    ask: Asking
    rng: Random

    def prompt(self, steps: tuple[Step, ...]) -> Prompt:
        """The steps between the opening and the closing line."""
        return Prompt(self.settings.opening, steps, closing=self.settings.closing)
