"""The candidates of a trial with their lineage, their accuracies and their gains. Pure.

One pass over the rounds, so that ten thousand candidates take a moment. A candidate has the
accuracy of the most dev items that it was ever measured on, and its gain is over the items that its
parent was measured on too (as in cluster.analysis.lineage).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cluster.service.core.errors import NotFound
from cluster.service.read_models.json_text import diff_of, examples_of
from cluster.service.read_models.results import Results, TrialHistory
from cluster.service.schemas import Answer, CandidateDetail
from cluster.service.schemas import Candidate as CandidateAnswer
from optimizer.candidate import Candidate, Standing, fuller, gain_over
from optimizer.prompt import Prompt
from optimizer.statistics import Gain
from serving.storage.text import storable

BYTES_A_STANDING = 300
"""About the memory that a candidate takes for each round that it was measured in."""


class CandidateTree(Answer):
    """All candidates of a trial in columns, without their texts.

    Entry i of each column belongs to candidate i; the oldest comes first.
    """

    object: str = "optimization.candidate_tree"
    trial: str
    id: list[str]
    parent: list[int | None]
    """The parent's index in the columns; null if it is not known."""
    operator: list[str]
    round: list[int]
    changed_step: list[int | None]
    dev_accuracy: list[float | None]
    dev_items: list[int]
    incomplete: list[bool]
    """True if the budget was exhausted before it was measured on all dev items."""
    kept: list[bool]
    gain: list[float | None]
    """The gain over the parent, on the dev items that both were measured on."""
    gain_items: list[int]
    """Number of these dev items."""
    best: str | None
    """The id of the trial's best candidate so far."""


@dataclass(frozen=True)
class CandidateEntry:
    """A candidate among the others of its trial."""

    candidate: Candidate
    standing: Standing | None
    """Its result on the most dev items; None for a parent that was never measured itself."""
    gain: Gain | None = None
    """The gain over its parent, on the items that both were measured on."""


class TrialCandidates:
    """The candidates of one trial, the oldest first."""

    def __init__(self, history: TrialHistory) -> None:
        """Collect the candidates of all rounds, and their gains."""
        self.trial = history.trial
        self.entries: dict[str, CandidateEntry] = {}
        for standing in (standing for round in history.rounds for standing in round.standings):
            known = self.entries.get(standing.candidate.id)
            candidate = known.candidate if known else standing.candidate
            self.entries[candidate.id] = CandidateEntry(
                candidate, fuller(known.standing if known else None, standing)
            )
        # When all are known: a parent may be measured on more items after its child was made.
        for id, entry in self.entries.items():
            if parent := self.entries.get(entry.candidate.parent or ""):
                self.entries[id] = replace(entry, gain=gain_over(parent.standing, entry.standing))
        best = history.result.best if history.result else None
        last = history.rounds[-1].standings if history.rounds else ()
        self.best: Candidate | None = best or (last[0].candidate if last else None)
        seed = history.result.seed_prompt if history.result else None
        if seed is not None and seed.id not in self.entries:
            self.entries = {
                seed.id: CandidateEntry(Candidate(seed, "seed", 0), None),
                **self.entries,
            }

    def entry(self, id: str) -> CandidateEntry:
        """Return a candidate.

        Raises:
            NotFound: The trial has no such candidate.
        """
        if id not in self.entries:
            raise NotFound(f"Trial {self.trial} has no candidate {id[:40]!r}.")
        return self.entries[id]

    def prompt(self, id: str | None) -> Prompt | None:
        """Return the prompt of a candidate; None if there is no such candidate."""
        return self.entries[id].candidate.prompt if id in self.entries else None

    def tree(self) -> CandidateTree:
        """Return all candidates in columns."""
        entries = list(self.entries.values())
        place_by_id = {id: place for place, id in enumerate(self.entries)}
        candidates = [entry.candidate for entry in entries]
        standings = [entry.standing for entry in entries]
        return CandidateTree(
            trial=self.trial,
            id=list(self.entries),
            parent=[place_by_id.get(one.parent or "") for one in candidates],
            operator=[storable(one.operator) for one in candidates],
            round=[one.round for one in candidates],
            changed_step=[one.changed_step for one in candidates],
            dev_accuracy=[
                _rounded(standing.accuracy) if standing else None for standing in standings
            ],
            dev_items=[standing.items if standing else 0 for standing in standings],
            incomplete=[bool(standing and standing.incomplete) for standing in standings],
            kept=[bool(standing and standing.kept) for standing in standings],
            gain=[_rounded(entry.gain.value if entry.gain else None) for entry in entries],
            gain_items=[entry.gain.items if entry.gain else 0 for entry in entries],
            best=self.best.id if self.best else None,
        )

    def detail(self, id: str) -> CandidateDetail:
        """Return a candidate with its prompt, and what changed from its parent's.

        Raises:
            NotFound: The trial has no such candidate.
        """
        entry = self.entry(id)
        prompt, parent = entry.candidate.prompt, self.prompt(entry.candidate.parent)
        number, steps = entry.candidate.changed_step, parent.steps if parent else ()
        failing = (
            steps[number - 1].text if number is not None and 1 <= number <= len(steps) else None
        )
        known = parent.demonstrations if parent else ()
        interval = entry.standing.interval if entry.standing else None
        return CandidateDetail(
            **_fields(self.trial, entry),
            text=storable(prompt.text()),
            prompt=plain_prompt(prompt),
            steps=[storable(step.text) for step in prompt.steps],
            demonstrations=len(prompt.demonstrations),
            diff=diff_of(parent.text() if parent else prompt.text(), prompt.text()),
            failing_step=None if failing is None else storable(failing),
            dev_low=interval.low if interval else None,
            dev_high=interval.high if interval else None,
            dev_interval_kind=interval.kind if interval else "",
            worked_examples=examples_of(prompt.demonstrations, known if parent else None),
            dropped_examples=sum(one not in prompt.demonstrations for one in known),
        )


def plain_prompt(prompt: Prompt) -> dict[str, object]:
    """Return a prompt as `promptray apply` reads it."""
    data = prompt.to_json()
    return data | {
        "instruction": storable(prompt.instruction),
        "closing": storable(prompt.closing),
        "steps": [{"text": storable(step.text), "form": step.form} for step in prompt.steps],
        "demonstrations": [
            {"input": storable(one.input), "response": storable(one.response)}
            for one in prompt.demonstrations
        ],
    }


def _fields(trial: str, entry: CandidateEntry) -> dict[str, object]:
    candidate, standing = entry.candidate, entry.standing
    return {
        "id": candidate.id,
        "trial": trial,
        "parent": candidate.parent,
        "operator": storable(candidate.operator),
        "round": candidate.round,
        "changed_step": candidate.changed_step,
        "reflection": storable(candidate.reflection),
        "dev_accuracy": standing.accuracy if standing else None,
        "dev_items": standing.items if standing else 0,
        "incomplete": bool(standing and standing.incomplete),
        "adherence": standing.adherence if standing else None,
        "kept": bool(standing and standing.kept),
        **_gain_fields(entry.gain),
    }


def _gain_fields(gain: Gain | None) -> dict[str, float | int | str | None]:
    interval = gain.interval if gain else None
    return {
        "gain": gain.value if gain else None,
        "gain_items": gain.items if gain else 0,
        "gain_low": interval.low if interval else None,
        "gain_high": interval.high if interval else None,
        "gain_interval_kind": interval.kind if interval else "",
    }


def candidates_of(results: Results, history: TrialHistory) -> TrialCandidates:
    """Return the candidates of a trial, made once for the same bytes.

    To name ten thousand prompts by their content takes a second.
    """
    if not history.digest:
        return TrialCandidates(history)
    key = b"candidates " + history.trial.encode("utf-8", "surrogatepass") + history.digest
    return results.cached(
        key,
        lambda: TrialCandidates(history),
        BYTES_A_STANDING * sum(len(round.standings) for round in history.rounds),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def candidate_answer(trial: str, entry: CandidateEntry) -> CandidateAnswer:
    """Return a candidate without its prompt."""
    return CandidateAnswer(**_fields(trial, entry))


def with_cursors(trials: Sequence[TrialCandidates]) -> Iterator[tuple[str, CandidateEntry]]:
    """Yield every candidate of several trials with its cursor, TRIAL/CANDIDATE."""
    return (
        (f"{candidates.trial}/{id}", entry)
        for candidates in trials
        for id, entry in candidates.entries.items()
    )
