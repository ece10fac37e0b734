"""The candidates of a trial: where each comes from, how it stands, and what it gained. Pure.

One pass over the rounds, so that ten thousand candidates take a moment. A candidate stands as on
the most dev items that it was ever measured on, and its gain is over the items that its parent was
measured on too (as cluster.analysis.lineage has it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cluster.service.core.errors import NotFound
from cluster.service.read_models.json_text import diff_of, examples_of
from cluster.service.read_models.results import Course, Results
from cluster.service.schemas import Answer, CandidateDetail
from cluster.service.schemas import Candidate as CandidateAnswer
from optimizer.candidate import Candidate, Standing, fuller, gain_over
from optimizer.prompt import Prompt
from optimizer.statistics import Gain, wilson
from serving.storage.text import storable

BYTES_A_STANDING = 300
"""What a family takes in memory beside its course, about."""


class CandidateTree(Answer):
    """All candidates of a trial in columns, without their texts: entry i of each column is of
    candidate i, the oldest first.
    """

    object: str = "optimization.candidate_tree"
    trial: str
    id: list[str]
    parent: list[int | None]
    """The parent's place in the columns; None where it is not known."""
    operator: list[str]
    round: list[int]
    changed_step: list[int | None]
    dev_accuracy: list[float | None]
    dev_items: list[int]
    incomplete: list[bool]
    """The budget ended before it was measured on all dev items."""
    kept: list[bool]
    gain: list[float | None]
    """Over the parent, on the dev items that both were measured on."""
    gain_items: list[int]
    """How many these are."""
    best: str | None
    """Id of the trial's best candidate so far."""


@dataclass(frozen=True)
class Member:
    """A candidate among the others of its trial."""

    candidate: Candidate
    standing: Standing | None
    """On the most dev items; None where it never competed: a parent that only its children name."""
    gain: Gain | None = None
    """Over its parent, on the items that both were measured on."""


class Family:
    """The candidates of one trial, the oldest first."""

    def __init__(self, course: Course) -> None:
        self.trial = course.trial
        self.members: dict[str, Member] = {}
        for standing in (standing for round in course.rounds for standing in round.standings):
            self._add(standing)
        self.members = {
            id: replace(member, gain=self._gain(member)) for id, member in self.members.items()
        }
        best = course.result.best if course.result else None
        last = course.rounds[-1].standings if course.rounds else ()
        self.best: Candidate | None = best or (last[0].candidate if last else None)
        seed = course.result.seed_prompt if course.result else None
        if seed is not None and seed.id not in self.members:
            self.members = {seed.id: Member(Candidate(seed, "seed", 0), None), **self.members}

    def _add(self, standing: Standing) -> None:
        known = self.members.get(standing.candidate.id)
        candidate = known.candidate if known else standing.candidate
        self.members[candidate.id] = Member(
            candidate, fuller(known.standing if known else None, standing)
        )

    def _gain(self, member: Member) -> Gain | None:
        parent = self.members.get(member.candidate.parent or "")
        return gain_over(parent.standing, member.standing) if parent else None

    def member(self, id: str) -> Member:
        """Raises NotFound."""
        if id not in self.members:
            raise NotFound(f"Trial {self.trial} has no candidate {id[:40]!r}.")
        return self.members[id]

    def prompt(self, id: str | None) -> Prompt | None:
        """None where there is no such candidate."""
        return self.members[id].candidate.prompt if id in self.members else None

    def tree(self) -> CandidateTree:
        members = list(self.members.values())
        place_by_id = {id: place for place, id in enumerate(self.members)}
        candidates = [member.candidate for member in members]
        standings = [member.standing for member in members]
        return CandidateTree(
            trial=self.trial,
            id=list(self.members),
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
            gain=[_rounded(member.gain.value if member.gain else None) for member in members],
            gain_items=[member.gain.items if member.gain else 0 for member in members],
            best=self.best.id if self.best else None,
        )

    def detail(self, id: str) -> CandidateDetail:
        """Raises NotFound."""
        member = self.member(id)
        prompt, parent = member.candidate.prompt, self.prompt(member.candidate.parent)
        number, steps = member.candidate.changed_step, parent.steps if parent else ()
        failing = (
            steps[number - 1].text if number is not None and 1 <= number <= len(steps) else None
        )
        known = parent.demonstrations if parent else ()
        low, high = _interval(member.standing)
        return CandidateDetail(
            **_fields(self.trial, member),
            text=storable(prompt.text()),
            prompt=plain_prompt(prompt),
            steps=[storable(step.text) for step in prompt.steps],
            demonstrations=len(prompt.demonstrations),
            diff=diff_of(parent.text() if parent else prompt.text(), prompt.text()),
            failing_step=None if failing is None else storable(failing),
            dev_low=low,
            dev_high=high,
            worked_examples=examples_of(prompt.demonstrations, known if parent else None),
            dropped_examples=sum(one not in prompt.demonstrations for one in known),
        )


def plain_prompt(prompt: Prompt) -> dict[str, object]:
    """As `promptray apply` reads it."""
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


def _fields(trial: str, member: Member) -> dict[str, object]:
    candidate, standing = member.candidate, member.standing
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
        **_gain_fields(member.gain),
    }


def _interval(standing: Standing | None) -> tuple[float | None, float | None]:
    """The ends of the 95% interval of its dev accuracy."""
    if standing is None or standing.accuracy is None:
        return None, None
    found = wilson(min(standing.items, standing.accuracy * standing.items), standing.items)
    return found.low, found.high


def _gain_fields(gain: Gain | None) -> dict[str, float | int | None]:
    interval = gain.interval if gain else None
    return {
        "gain": gain.value if gain else None,
        "gain_items": gain.items if gain else 0,
        "gain_low": interval.low if interval else None,
        "gain_high": interval.high if interval else None,
    }


def family_of(results: Results, course: Course) -> Family:
    """Made once for the same bytes: to name ten thousand prompts by their content takes a
    second.
    """
    if not course.digest:
        return Family(course)
    key = b"family " + course.trial.encode("utf-8", "surrogatepass") + course.digest
    return results.kept(
        key,
        lambda: Family(course),
        BYTES_A_STANDING * sum(len(round.standings) for round in course.rounds),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def candidate_answer(trial: str, member: Member) -> CandidateAnswer:
    """Without its prompt."""
    return CandidateAnswer(**_fields(trial, member))


def page_of(families: Sequence[Family]) -> Iterator[tuple[str, Member]]:
    """Every candidate of several trials, each with its cursor."""
    return (
        (f"{family.trial}/{id}", member)
        for family in families
        for id, member in family.members.items()
    )
