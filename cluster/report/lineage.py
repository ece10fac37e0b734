"""How a trial's best prompt came about: its ancestors from the first prompt on, and what each refinement changed. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.report.diff import Piece, word_diff
from cluster.result import TrialResult
from optimizer.candidate import Candidate, Standing
from optimizer.prompt import Demonstration


@dataclass(frozen=True)
class Refinement:
    """One candidate on the way to the best prompt, beside its parent. The first one of a lineage has no parent."""

    candidate: Candidate
    parent: Candidate | None
    standing: Standing | None
    """How it came out of the first round it competed in; None where it never stood on the dev split."""
    parent_standing: Standing | None
    """How its parent came out of that same round, or, where the parent did not compete again, out of its last one before."""
    pieces: tuple[Piece, ...]
    """The words that changed; all of the text for the first prompt."""
    new_demonstrations: tuple[Demonstration, ...]
    dropped_demonstrations: int

    @property
    def failing_step(self) -> str | None:
        """The parent's text of the step that was refined, where one was."""
        number = self.candidate.changed_step
        steps = self.parent.prompt.steps if self.parent is not None else ()
        return steps[number - 1].text if number is not None and 1 <= number <= len(steps) else None

    @property
    def gain(self) -> float | None:
        """Change in dev accuracy from parent to candidate; None where one of the two is not known."""
        before = self.parent_standing.accuracy if self.parent_standing is not None else None
        after = self.standing.accuracy if self.standing is not None else None
        return None if before is None or after is None else after - before


def lineage(result: TrialResult) -> tuple[Refinement, ...]:
    """The best prompt's refinements, oldest first; empty where the trial has no best prompt.

    It goes back as far as parents are known, so that a candidate whose parent never competed stands first.
    """
    known = {standing.candidate.id: standing.candidate for round in reversed(result.rounds) for standing in round.standings}
    chain = list(_ancestors(result.best, known)) if result.best is not None else []
    chain.reverse()
    return tuple(_refinement(result, candidate, parent) for candidate, parent in zip(chain, [None, *chain], strict=False))


def _ancestors(best: Candidate, known: dict[str, Candidate]) -> Iterator[Candidate]:
    seen: set[str] = set()
    candidate: Candidate | None = best
    while candidate is not None and candidate.id not in seen:
        yield candidate
        seen.add(candidate.id)
        candidate = known.get(candidate.parent) if candidate.parent is not None else None


def _refinement(result: TrialResult, candidate: Candidate, parent: Candidate | None) -> Refinement:
    standing, parent_standing = _standings(result, candidate, parent)
    old = parent.prompt if parent is not None else None
    shown = old.demonstrations if old is not None else ()
    kept = set(shown) & set(candidate.prompt.demonstrations)
    return Refinement(
        candidate, parent, standing, parent_standing,
        pieces=word_diff(old.text() if old is not None else candidate.prompt.text(), candidate.prompt.text()),
        new_demonstrations=tuple(d for d in candidate.prompt.demonstrations if d not in kept),
        dropped_demonstrations=sum(d not in kept for d in shown))


def _standings(result: TrialResult, candidate: Candidate, parent: Candidate | None) -> tuple[Standing | None, Standing | None]:
    parents_last: Standing | None = None
    for round in result.rounds:
        standing_by_id = {standing.candidate.id: standing for standing in round.standings}
        if parent is not None:
            parents_last = standing_by_id.get(parent.id, parents_last)
        if candidate.id in standing_by_id:
            return standing_by_id[candidate.id], parents_last
    return None, parents_last
