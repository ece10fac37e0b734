"""Localise: find the step where a prompt's errors fail first (ABO, arXiv 2402.02101, section 6).

The step is found by a vote over the errors.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.behaviour.search_context import SearchContext
from optimizer.candidate import Candidate
from optimizer.operators.asking import Question
from optimizer.operators.localise import Blame, localise
from optimizer.sampling import some_errors
from optimizer.types import Answer

EVIDENCE_SHOWN = 3
"""Number of votes for a step whose evidence is quoted to the refiner [ours]."""


@dataclass(frozen=True)
class Finding:
    """The step of one prompt that failed in a round, and errors that show it.

    `blame` is None for a prompt without steps.
    """

    parent: Candidate
    blame: Blame | None
    cases: tuple[Answer, ...]

    @property
    def reflection(self) -> str:
        """Return the failing step and its evidence as text."""
        return (
            f"Step {self.blame.step} was {self.blame.kind}: {self.blame.evidence}"
            if self.blame
            else ""
        )


class Inspection:
    """The errors of some parents, to be inspected one by one.

    A parent without steps has no step to blame: it will be decomposed.
    """

    def __init__(
        self,
        parents: Sequence[Candidate],
        errors: Sequence[Sequence[Answer]],
        search_context: SearchContext,
    ) -> None:
        samples = [
            some_errors(wrong, search_context.settings.localised_errors, search_context.rng)
            for wrong in errors
        ]
        self._search_context = search_context
        self._erring = [
            (parent, sample) for parent, sample in zip(parents, samples, strict=True) if sample
        ]
        self._inspected = [
            (parent, error)
            for parent, sample in self._erring
            if parent.prompt.steps
            for error in sample
        ]

    @property
    def questions(self) -> list[Question[Blame]]:
        """Return one question for each error."""
        problem = self._search_context.problem
        return [localise(problem, parent.prompt.steps, error) for parent, error in self._inspected]

    def findings(self, blames: Sequence[Blame | None]) -> list[Finding]:
        """Return what failed in each parent, given the answers to the questions.

        A parent whose answers could not be read has no finding.
        """
        found = [self._voted(parent, sample, blames) for parent, sample in self._erring]
        return [finding for finding in found if finding]

    def blind(self) -> list[Finding]:
        """Return a finding with a random step for each parent, without a question."""
        return [
            self._finding(parent, self._any_step(parent), sample) for parent, sample in self._erring
        ]

    def _voted(
        self, parent: Candidate, sample: Sequence[Answer], blames: Sequence[Blame | None]
    ) -> Finding | None:
        if not parent.prompt.steps:
            return self._finding(parent, None, sample)
        pairs = zip(self._inspected, blames, strict=True)
        votes = [(blame, error) for (erring, error), blame in pairs if blame and erring is parent]
        if not votes:
            return None
        winner = vote([blame for blame, _ in votes])
        return self._finding(
            parent, winner, [error for blame, error in votes if blame.step == winner.step]
        )

    def _any_step(self, parent: Candidate) -> Blame | None:
        steps = len(parent.prompt.steps)
        return (
            Blame(self._search_context.rng.randint(1, steps), "ambiguous", "not inspected")
            if steps
            else None
        )

    def _finding(self, parent: Candidate, blame: Blame | None, errors: Sequence[Answer]) -> Finding:
        return Finding(parent, blame, tuple(errors[: self._search_context.settings.cases]))


async def localised(
    parents: Sequence[Candidate],
    errors: Sequence[Sequence[Answer]],
    search_context: SearchContext,
    at_random: bool = False,
) -> list[Finding]:
    """Return what failed in each parent that has errors; one batch.

    Args:
        parents: The prompts to inspect.
        errors: The wrong answers of each parent.
        search_context: Settings, problem, optimizer model and random source.
        at_random: Blame a random step instead (an ablation of the paper).
    """
    inspection = Inspection(parents, errors, search_context)
    if at_random:
        return inspection.blind()
    blames = await search_context.ask(inspection.questions)
    return inspection.findings(blames)


def vote(blames: Sequence[Blame]) -> Blame:
    r"""Return the step that most blames name, how it mostly failed, and some of the evidence.

    Ties go to the earlier step.

        >>> votes = ["2 wrong a", "1 skipped b", "2 skipped c", "2 wrong d"]
        >>> vote([Blame(int(number), kind, text) for number, kind, text in map(str.split, votes)])
        Blame(step=2, kind='wrong', evidence='a\nc\nd')
    """
    votes = Counter(blame.step for blame in blames)
    # Of equals the earlier step: an error there makes later steps wrong, too.
    step = min(votes, key=lambda candidate: (-votes[candidate], candidate))
    agreeing = [blame for blame in blames if blame.step == step]
    kind = Counter(blame.kind for blame in agreeing).most_common(1)[0][0]
    # Each distinct evidence once: critics repeat each other.
    evidence = dict.fromkeys(blame.evidence for blame in agreeing)
    return Blame(step, kind, "\n".join(list(evidence)[:EVIDENCE_SHOWN]))


def note_of(findings: Sequence[Finding], children: int) -> str:
    """Return one sentence on a round, for people."""
    blames = [
        f"step {finding.blame.step} ({finding.blame.kind})" for finding in findings if finding.blame
    ]
    return (
        f"Failing first: {', '.join(blames) or 'no step'}; {children} new prompts from "
        f"{len(findings)}."
    )
