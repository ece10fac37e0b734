"""Trace how a trial's best prompt came about: its ancestors, and what each refinement changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.text.diff import Piece, word_diff
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate, Standing, fuller, gain_over
from optimizer.prompt import Demonstration
from optimizer.statistics import Gain


@dataclass(frozen=True)
class Refinement:
    """One candidate on the way to the best prompt, beside its parent.

    The first one of a lineage has no parent.
    """

    candidate: Candidate
    parent: Candidate | None
    standing: Standing | None
    """The standing on the most dev items that it was measured on; None where it was never measured
    on dev.
    """
    gain: Gain | None
    """Gain over its parent, on the dev items that both were measured on; None where that is not
    known.
    """
    pieces: tuple[Piece, ...]
    """The words that changed; all of the text for the first prompt."""
    new_demonstrations: tuple[Demonstration, ...]
    dropped_demonstrations: int

    @property
    def failing_step(self) -> str | None:
        """Return the parent's text of the step that was refined; None where no step was."""
        number = self.candidate.changed_step
        steps = self.parent.prompt.steps if self.parent is not None else ()
        return steps[number - 1].text if number is not None and 1 <= number <= len(steps) else None


def lineage(result: TrialResult) -> tuple[Refinement, ...]:
    """Return the best prompt's refinements, oldest first; empty where the trial has no best prompt.

    It goes back as far as parents are known: a candidate whose parent never competed stands first.
    """
    known = {
        standing.candidate.id: standing.candidate
        for round in reversed(result.rounds)
        for standing in round.standings
    }
    chain = list(_ancestors(result.best, known)) if result.best is not None else []
    chain.reverse()
    standings: dict[str, Standing] = {}
    for standing in (standing for round in result.rounds for standing in round.standings):
        standings[standing.candidate.id] = fuller(standings.get(standing.candidate.id), standing)
    return tuple(
        _refinement(standings, candidate, parent)
        for candidate, parent in zip(chain, [None, *chain], strict=False)
    )


def _ancestors(best: Candidate, known: dict[str, Candidate]) -> Iterator[Candidate]:
    seen: set[str] = set()
    candidate: Candidate | None = best
    while candidate is not None and candidate.id not in seen:
        yield candidate
        seen.add(candidate.id)
        candidate = known.get(candidate.parent) if candidate.parent is not None else None


def _refinement(
    standings: Mapping[str, Standing], candidate: Candidate, parent: Candidate | None
) -> Refinement:
    standing = standings.get(candidate.id)
    gain = gain_over(standings.get(parent.id), standing) if parent is not None else None
    old = parent.prompt if parent is not None else None
    shown = old.demonstrations if old is not None else ()
    shared = set(shown) & set(candidate.prompt.demonstrations)
    return Refinement(
        candidate,
        parent,
        standing,
        gain,
        pieces=word_diff(
            old.text() if old is not None else candidate.prompt.text(), candidate.prompt.text()
        ),
        new_demonstrations=tuple(d for d in candidate.prompt.demonstrations if d not in shared),
        dropped_demonstrations=sum(d not in shared for d in shown),
    )
