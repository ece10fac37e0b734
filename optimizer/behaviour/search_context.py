"""The search context: settings, problem, optimizer model and random source of one search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from optimizer.behaviour.settings import BehaviourSettings
from optimizer.candidate import Candidate, Problem, Standing
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

    def accepted(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates that hold the fixed parts, and count the others.

        Steps that repeat a part were refused when they were read; with their numbers they may still
        come to read like one, such as "1. Read the ticket."
        """
        fault_by_place = [self.problem.fault_of(one.prompt) for one in candidates]
        for fault in filter(None, fault_by_place):
            self.ask.refused(fault, 1)
        pairs = zip(candidates, fault_by_place, strict=True)
        return [candidate for candidate, fault in pairs if not fault]

    def measured(self, standings: Sequence[Standing]) -> "SearchContext":
        """Return the context with the baseline's score as round 0 has measured it."""
        return replace(self, problem=self.problem.with_baseline_score(standings))
