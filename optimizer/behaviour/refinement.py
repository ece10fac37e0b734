"""Refine: replace only the failing step, and roll back what does not help.

The reason of a rolled-back refinement is passed to the next attempt. ABO, arXiv 2402.02101, section
6. How a refinement is judged, and how its reason is worded, is [ours].
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from optimizer.behaviour.localisation import Finding
from optimizer.behaviour.rewriting import Draft, new_plan
from optimizer.behaviour.search_context import SearchContext
from optimizer.candidate import Candidate, Round, Standing
from optimizer.operators.refine import Setback, refine, wording
from optimizer.prompt import Step
from optimizer.statistics import mean_score


class Setbacks:
    """The refinements of a search that did not help, by the text of the step that they replaced."""

    def __init__(self) -> None:
        self._by_step: defaultdict[str, list[Setback]] = defaultdict(list)

    def of(self, step: Step) -> tuple[Setback, ...]:
        """Return the setbacks of a step in the order in which they were tried."""
        return tuple(self._by_step[step.text])

    def note(self, latest: Round) -> None:
        """Record the round's refinements that came out behind the prompt that they refine."""
        ahead: dict[str, Standing] = {}
        for standing in latest.standings:
            child = standing.candidate
            parent = ahead.get(child.parent or "")
            if child.round == latest.number and child.changed_step and parent:
                self._add(parent, standing, child.changed_step)
            # Standings come best first: a parent that is already in `ahead` beat this child.
            ahead[child.id] = standing

    def _add(self, parent: Standing, child: Standing, changed: int) -> None:
        old, new = parent.candidate.prompt.steps, child.candidate.prompt.steps
        parts = slice(changed - 1, changed + len(new) - len(old))
        setback = Setback(
            wording(new[parts]), _reason(parent, child, changed, child.adherence_by_step[parts])
        )
        known = self._by_step[old[changed - 1].text]
        # The same wording may fail again in another branch; the refiner needs to see it once.
        if setback.wording not in {tried.wording for tried in known}:
            known.append(setback)


def refinement(
    finding: Finding,
    setbacks: Setbacks,
    number: int,
    search_context: SearchContext,
    whole: bool = False,
) -> Draft:
    """Draft a replacement of the failing step: rephrased, or split.

    A prompt without steps gets a new plan; so does any with `whole` (an ablation).
    """
    problem, parent, blame = search_context.problem, finding.parent, finding.blame
    if blame is None or whole:
        return new_plan(parent, finding.cases, finding.reflection, number, search_context)
    steps = parent.prompt.steps
    return Draft(
        refine(problem, steps, blame, finding.cases, setbacks.of(steps[blame.step - 1])),
        lambda new: Candidate(
            parent.prompt.with_step(blame.step, *new),
            "refine",
            number,
            parent.id,
            finding.reflection,
            blame.step,
        ),
    )


def rolled_back(standings: Sequence[Standing], number: int) -> tuple[Standing, ...]:
    """Return the round's standings with new prompts kept only if better than their parent.

    Otherwise the parent goes on. A prompt whose accuracy is unknown is not better than anything,
    and one that is known is better than a parent that is not.
    """
    accuracy_by_id = {
        one.candidate.id: -1.0 if one.accuracy is None else one.accuracy for one in standings
    }
    judged = [
        replace(
            standing, kept=standing.kept and not _is_no_better(standing, number, accuracy_by_id)
        )
        for standing in standings
    ]
    return tuple(sorted(judged, key=lambda standing: not standing.kept))


def _is_no_better(child: Standing, number: int, accuracy_by_id: dict[str, float]) -> bool:
    parent = accuracy_by_id.get(child.candidate.parent or "")
    return (
        child.candidate.round == number
        and parent is not None
        and accuracy_by_id[child.candidate.id] <= parent
    )


def _reason(parent: Standing, child: Standing, changed: int, adherence: Sequence[float]) -> str:
    """Return the effect of a refinement in numbers, without any content of the dev items."""
    # Only items that both were measured on: a race stops weak children early.
    pairs = zip(parent.scores, child.scores, strict=True)
    shared = [(old, new) for old, new in pairs if old is not None and new is not None]
    before, after = (mean_score([pair[at] for pair in shared]) for at in (0, 1))
    effects = (
        []
        if before is None or after is None
        else [f"accuracy went from {before:.2f} to {after:.2f}"]
    )
    if adherence:
        old = _percent(parent.adherence_by_step[changed - 1 : changed])
        effects.append(
            f"followed in {_percent(adherence)} of the responses"
            + (f", the old step in {old}" if old else "")
        )
    return "; ".join(effects) or "it did not help"


def _percent(shares: Sequence[float]) -> str:
    return " and ".join(f"{share:.0%}" for share in shares)
