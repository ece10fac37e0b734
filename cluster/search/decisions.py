"""The decisions of a search in their order, which a resumed search repeats before new ones.

Schedulers judge by the order in which rounds arrive, and studies propose by results. A run that is
cut loses both but for this record: fed with its entries in their order, they are in the same state
again. JSON both ways.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from cluster.search.space import Point
from optimizer.errors import DataError


@dataclass(frozen=True)
class Opened:
    """The first entry where studies choose the points.

    They assume the same number of concurrent trials of a comparison group, now and when resumed.
    """

    at_once: int


@dataclass(frozen=True)
class Given:
    """A study has chosen a trial's point."""

    trial: str
    point: Point


@dataclass(frozen=True)
class Ended:
    """A trial has ended, and its study has got its dev accuracy, or None where it has none."""

    trial: str
    accuracy: float | None


@dataclass(frozen=True)
class Judged:
    """A scheduler has judged a trial's round; task and seed are the trial's comparison group."""

    trial: str
    task: str
    seed: int
    round: int
    accuracy: float
    """Dev accuracy of the round's best prompt, by which it was judged; a share from 0 to 1."""
    goes_on: bool
    """Whether the trial continues."""


Decision = Opened | Given | Ended | Judged
_KINDS: dict[str, type[Opened] | type[Given] | type[Ended] | type[Judged]] = {
    "opened": Opened,
    "given": Given,
    "ended": Ended,
    "judged": Judged,
}
"""Kinds by their names in the record, whatever the classes are called."""
_NAME_OF = {kind: name for name, kind in _KINDS.items()}


def to_json(decision: Decision) -> dict[str, Any]:
    """Return the decision as a plain dict with its kind, which `from_json` reads."""
    return {"kind": _NAME_OF[type(decision)]} | asdict(decision)


def from_json(data: Any) -> Decision:
    """Return the decision that `to_json` has written.

    Raises:
        DataError: `data` is not a decision.
    """
    try:
        return _KINDS[data["kind"]](**{key: value for key, value in data.items() if key != "kind"})
    except (KeyError, TypeError, AttributeError) as problem:
        raise DataError(f"This is not a decision of a search: {data!r}.") from problem


class Decisions:
    """The record of one search.

    `keep` stores an entry and is called before the entry counts: what it raises, `add` raises, and
    the entry was not made.
    """

    def __init__(
        self,
        made: Iterable[Decision] = (),
        keep: Callable[[Decision], None] = lambda decision: None,
    ) -> None:
        self._keep = keep
        self._made: list[Decision] = []
        self._at_once: int | None = None
        self._point_by_trial: dict[str, Point] = {}
        self._ended: set[str] = set()
        self._goes_on_by_round: dict[tuple[str, int], bool] = {}
        self._last_round_by_trial: dict[str, int] = {}
        for decision in made:
            self._remember(decision)

    @property
    def made(self) -> tuple[Decision, ...]:
        """Return all entries in their order."""
        return tuple(self._made)

    @property
    def judged(self) -> tuple[Judged, ...]:
        """Return the judgements of the scheduler in their order."""
        return tuple(decision for decision in self._made if isinstance(decision, Judged))

    @property
    def trials(self) -> frozenset[str]:
        """Return the trials that the record is about."""
        return frozenset(
            decision.trial for decision in self._made if not isinstance(decision, Opened)
        )

    @property
    def at_once(self) -> int | None:
        """Return the number of concurrent trials (see Opened); None before a study was opened."""
        return self._at_once

    def point_of(self, trial: str) -> Point | None:
        """Return the point that a study has given to a trial; None where it has given none."""
        return self._point_by_trial.get(trial)

    def has_ended(self, trial: str) -> bool:
        """Return whether a trial's end was reported to its study."""
        return trial in self._ended

    def goes_on(self, trial: str, round: int) -> bool | None:
        """Return what was decided after a trial's round; None where nothing was."""
        return self._goes_on_by_round.get((trial, round))

    def last_round(self, trial: str) -> int:
        """Return the last round of a trial that was judged; -1 for none."""
        return self._last_round_by_trial.get(trial, -1)

    def add(self, decision: Decision) -> None:
        """Store the decision, then let it count."""
        self._keep(decision)
        self._remember(decision)

    def _remember(self, decision: Decision) -> None:
        self._made.append(decision)
        match decision:
            case Opened(at_once):
                self._at_once = at_once
            case Given(trial, point):
                self._point_by_trial[trial] = point
            case Ended(trial):
                self._ended.add(trial)
            case Judged():
                self._goes_on_by_round[decision.trial, decision.round] = decision.goes_on
                self._last_round_by_trial[decision.trial] = decision.round
