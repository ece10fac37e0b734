"""Values of a search: candidates with their lineage, their standings, and rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from optimizer.grader import Grader, SameText
from optimizer.kept_parts import fault_of
from optimizer.prompt import SEED_INSTRUCTION, Prompt
from optimizer.statistics import Gain, Interval, estimate, gain, wilson
from optimizer.types import Example


@dataclass(frozen=True)
class Candidate:
    """A prompt with its lineage.

    Its id is its prompt's id: the same prompt proposed twice is one candidate.
    """

    prompt: Prompt
    operator: str
    """Origin: "seed" for the baseline, or the name of an operator."""
    round: int
    parent: str | None = None
    """The parent's id."""
    reflection: str = ""
    """Reason for it, in the optimizer model's words: the criticism, or the failing step and its
    evidence.
    """
    changed_step: int | None = None
    """The number (from 1) of the step that was refined, where one was."""

    @property
    def id(self) -> str:
        """Return the prompt's id."""
        return self.prompt.id

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as a JSON object."""
        return asdict(self) | {"prompt": self.prompt.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Candidate":
        """Build a candidate from what `to_json` returned."""
        return cls(**{**data, "prompt": Prompt.from_json(data["prompt"])})


@dataclass(frozen=True)
class Standing:
    """The result of one candidate in a round's selection on the dev split."""

    candidate: Candidate
    accuracy: float | None
    """Mean score over the dev items that were measured, 0.0 to 1.0. None where none could be
    measured, or where too many requests failed (optimizer.statistics.MOST_MISSING): such a
    candidate is unknown, and ranks behind all that are known.
    """
    items: int
    """Number of dev items measured: under `racing` a hopeless candidate is measured on few."""
    adherence: float | None
    """Share of steps followed in its dev responses; None for a prompt without steps."""
    kept: bool
    """The candidate goes on to the next round."""
    adherence_by_step: tuple[float, ...] = ()
    """Share of its dev responses that follow each step; empty where `adherence` is None."""
    scores: tuple[float | None, ...] = ()
    """Score on each dev item, by the item's position in the split; None where it was not measured.
    Numbers only: the text of a dev item stays unknown to a strategy, and no model sees it. Empty
    where an evaluator does not report scores.
    """
    incomplete: bool = False
    """The budget was exhausted before the candidate was measured on all dev items (on few, or on
    none).
    """

    @property
    def interval(self) -> Interval | None:
        """Return the 95% interval of `accuracy`; None where that is not known.

        Without scores by item, as older files have them, it is Wilson's.
        """
        if self.accuracy is None or not self.items:
            return None
        if any(score is not None for score in self.scores):
            measured = estimate(self.scores)
            return Interval(measured.low, measured.high, measured.kind)
        return wilson(min(self.items, max(0.0, self.accuracy * self.items)), self.items)

    def to_json(self) -> dict[str, Any]:
        """Return the standing as a JSON object."""
        return asdict(self) | {"candidate": self.candidate.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Standing":
        """Build a standing from what `to_json` returned.

        Files of older versions lack some fields.
        """
        numbers = {name: tuple(data.get(name, ())) for name in ("adherence_by_step", "scores")}
        return cls(**{**data, **numbers, "candidate": Candidate.from_json(data["candidate"])})


def fuller(known: Standing | None, latest: Standing) -> Standing:
    """Return the one of a candidate's two standings that rests on more dev items.

    Of equals the later one counts. A race measures a candidate that falls behind on a few items
    only, so the last standing may carry the least information. `kept` is always that of the latest
    standing.
    """
    # The latest wins ties, since a selection rule may have measured it again.
    if known is None or latest.items >= known.items:
        return latest
    return replace(known, kept=latest.kept)


def gain_over(parent: Standing | None, child: Standing | None) -> Gain | None:
    """Return a candidate's gain over its parent on the dev items that both were measured on.

    Standings without scores by item, as older files have them, are compared only where both rest on
    the same number of items.

    Returns:
        The gain, or None where no comparison is possible.
    """
    if parent is None or child is None or parent.accuracy is None or child.accuracy is None:
        return None
    # Item by item where both have scores: a race measures the two on different items.
    if parent.scores and child.scores and len(parent.scores) == len(child.scores):
        return gain(parent.scores, child.scores)
    # Means over different numbers of items are over different items.
    if parent.items != child.items:
        return None
    return Gain(child.accuracy - parent.accuracy, None, child.items)


@dataclass(frozen=True)
class Round:
    """One cycle of propose, evaluate and select.

    `standings` has all candidates that competed, best first, the kept ones before the others.
    """

    number: int
    standings: tuple[Standing, ...]
    note: str = ""
    """One sentence for people that sums up the round."""
    parse_failures: int = 0
    """Number of questions to the optimizer model in this round without a readable reply."""
    incomplete: bool = False
    """The budget was exhausted during the selection. The best is then the best of the round before,
    unless another prompt is ahead of it on the dev items that both were measured on, by the
    standards of the selection rule.
    """

    @property
    def measured(self) -> str:
        """Return on how many dev items the candidates were measured that the budget cut short.

        The text is for people, and empty where no candidate was cut short.
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
        """Return the standing of the best candidate."""
        return self.standings[0]

    @property
    def kept(self) -> tuple[Candidate, ...]:
        """Return the candidates that go on to the next round."""
        return tuple(standing.candidate for standing in self.standings if standing.kept)

    def to_json(self) -> dict[str, Any]:
        """Return the round as a JSON object."""
        return asdict(self) | {"standings": [standing.to_json() for standing in self.standings]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Round":
        """Build a round from what `to_json` returned."""
        return cls(
            **{
                **data,
                "standings": tuple(Standing.from_json(standing) for standing in data["standings"]),
            }
        )


@dataclass(frozen=True)
class Problem:
    """The problem that a strategy works on, and what the optimizer model is told about it.

    It has no test split, and dev items are visible only as standings. A strategy passes it to its
    operators, which tell what is known: an operator that gets a description alone tells no more.
    """

    description: str
    """One or two sentences on the task; may be empty."""
    seed: Prompt
    train: tuple[Example, ...]
    grader: Grader = field(default_factory=SameText)
    """Judges a response to a training example by the same rule as the target model's answers:
    "(A)" may be as right as "A".
    """
    labels: tuple[str, ...] = ()
    """The allowed answers where all examples share them."""
    answer_contract: str = ""
    """How an answer is read, and which one the grader accepts."""
    where: str = ""
    """Where the prompt stands in a request to the target model.

    "" marks a plain problem: its questions hold the description, the prompts and the examples, and
    nothing else. The generated tasks are plain on purpose: their recorded questions and answers,
    by which every comparison with the built-in models is replayed, have not more in them.
    """
    keep: tuple[str, ...] = ()
    """Parts of the baseline that stand word for word, once and in this order, in every prompt."""
    baseline_score: float | None = None
    """The baseline's mean score on the dev items; None until round 0 has measured it."""

    @property
    def is_plain(self) -> bool:
        """Return whether the optimizer model is told no more than the description."""
        return not self.where

    @property
    def adds_steps(self) -> bool:
        """Return whether steps are added behind the baseline, which stays as it is.

        A baseline that says nothing of the task is replaced by steps (ABO, arXiv 2402.02101).
        """
        return bool(self.keep) or self.seed.instruction not in ("", SEED_INSTRUCTION)

    def with_baseline_score(self, standings: Sequence[Standing]) -> "Problem":
        """Return the problem with the baseline's score as round 0 has measured it.

        A plain problem stays as it is.
        """
        known = [one.accuracy for one in standings if one.candidate.operator == "seed"]
        if self.is_plain or not known or known[0] is None:
            return self
        return replace(self, baseline_score=known[0])

    def fault_of(self, prompt: Prompt) -> str:
        """Return why a prompt does not hold the kept parts; "" where it does.

        The instruction and the numbered steps count. The opening and closing lines are settings,
        and demonstrations are examples: what stands there is no second copy.
        """
        return fault_of(Prompt(prompt.instruction, prompt.steps).text(), self.keep)
