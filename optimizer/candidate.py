"""What a search proposes and how it stands: candidates with their lineage, standings, rounds."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from optimizer.prompt import Prompt, read_trace
from optimizer.statistics import Gain, gain
from optimizer.types import Completion, Example, Score


@dataclass(frozen=True)
class Candidate:
    """A prompt with where it comes from.

    Its id is its prompt's id: the same prompt proposed twice is one candidate.
    """

    prompt: Prompt
    operator: str
    """What made it: "seed", or the name of an operator."""
    round: int
    parent: str | None = None
    """The parent's id."""
    reflection: str = ""
    """Why it was made, in the optimizer model's words: the criticism, or the failing step and its
    evidence.
    """
    changed_step: int | None = None
    """The step that was refined, where one was."""

    @property
    def id(self) -> str:
        return self.prompt.id

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"prompt": self.prompt.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Candidate":
        return cls(**{**data, "prompt": Prompt.from_json(data["prompt"])})


@dataclass(frozen=True)
class Standing:
    """How a candidate came out of a round's selection on the dev split."""

    candidate: Candidate
    accuracy: float | None
    """Mean score over the dev items that were measured; None where none could be, or too many that
    were asked gave no answer (optimizer.statistics.MOST_MISSING): such a candidate is unknown, and
    stands behind all that are known.
    """
    items: int
    """Dev items measured: under `racing` a hopeless candidate is measured on few."""
    adherence: float | None
    """Share of steps followed in its dev responses; None for a prompt without steps."""
    kept: bool
    adherence_by_step: tuple[float, ...] = ()
    """Share of its dev responses that follow each step; empty where `adherence` is None."""
    scores: tuple[float | None, ...] = ()
    """On each dev item, by the item's place in the split; None where it was not measured.

    Numbers only: what an item says stays
    unknown to a strategy, and no model is shown them. Empty where an evaluator does not tell."""
    incomplete: bool = False
    """The budget ended before it was measured on all dev items, in a round that the budget has cut:
    on few, or on none.
    """

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"candidate": self.candidate.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Standing":
        numbers = {name: tuple(data.get(name, ())) for name in ("adherence_by_step", "scores")}
        return cls(**{**data, **numbers, "candidate": Candidate.from_json(data["candidate"])})


def fuller(known: Standing | None, latest: Standing) -> Standing:
    """Return the one of a candidate's standings that rests on more dev items, the later of equals;
    kept or not as the latest says.

    A race measures a candidate that falls behind on a few items only, so the last standing may say
    the least.
    """
    if known is None or latest.items >= known.items:
        return latest
    return replace(known, kept=latest.kept)


def gain_over(parent: Standing | None, child: Standing | None) -> Gain | None:
    """Return what a candidate gained over its parent on the dev items that both were measured on;
    None where there are none.

    Standings of before scores were kept are compared only where each rests on as many items as the
    other.
    """
    if parent is None or child is None or parent.accuracy is None or child.accuracy is None:
        return None
    if parent.scores and child.scores and len(parent.scores) == len(child.scores):
        return gain(parent.scores, child.scores)
    if parent.items != child.items:
        return None
    return Gain(child.accuracy - parent.accuracy, None, child.items)


@dataclass(frozen=True)
class Round:
    """One propose, evaluate, select cycle.

    `standings`: all that competed, best first, the kept ones before the others.
    """

    number: int
    standings: tuple[Standing, ...]
    note: str = ""
    """One sentence for people: what this round did."""
    parse_failures: int = 0
    """Questions to the optimizer model in this round that stayed without a readable reply."""
    incomplete: bool = False
    """The budget ended in its selection.

    Its best is the best of the round before, unless another prompt is ahead of that one on
    the dev items that both were measured on, by the standards of the selection rule."""

    @property
    def measured(self) -> str:
        """On how many dev items those candidates were measured that the budget has cut, in words;
        "" where it has cut none.
        """
        cut = [standing for standing in self.standings if standing.incomplete]
        if not cut:
            return ""
        least, most = (
            min(standing.items for standing in cut),
            max(standing.items for standing in cut),
        )
        if not most:
            return "none of its new candidates was measured"
        many = f"{least}" if least == most else f"{least} to {most}"
        return f"its candidates were measured on {many} of {len(cut[0].scores)} items"

    @property
    def best(self) -> Standing:
        return self.standings[0]

    @property
    def kept(self) -> tuple[Candidate, ...]:
        return tuple(standing.candidate for standing in self.standings if standing.kept)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"standings": [standing.to_json() for standing in self.standings]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Round":
        return cls(
            **{
                **data,
                "standings": tuple(Standing.from_json(standing) for standing in data["standings"]),
            }
        )


def same_text(response: Completion, example: Example) -> Score:
    """Whether the response's `Answer:` line is one of the accepted answers, in whatever case."""
    given = read_trace(response.text).answer or ""
    right = given.casefold() in {accepted.strip().casefold() for accepted in example.answers}
    return Score("right" if right else "wrong", given)


@dataclass(frozen=True)
class Problem:
    """What a strategy is given to work on.

    There is no test split in it, and dev items show only as standings.
    """

    description: str
    """One or two sentences on the task; may be empty."""
    seed: Prompt
    train: tuple[Example, ...]
    scorer: Callable[[Completion, Example], Score] = same_text
    """Judges a response to a training example, as the target model's are judged: "(A)" may be as
    right as "A".
    """
