"""What a search has decided, in the order in which it did: a record that a resumed search repeats
before it decides anew. JSON both ways. Knows no file, no Ray, no scheduler and no searcher.

Schedulers judge by the order in which rounds arrive, and studies propose by results. Of a run that
is cut, both are lost but for this record: fed with its entries in their order, they stand where
they stood.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from cluster.search.space import Point
from optimizer.errors import DataError


@dataclass(frozen=True)
class Opened:
    """The first entry where studies choose the points: they count on so many trials of a comparison
    group at once, now and when resumed.
    """

    at_once: int


@dataclass(frozen=True)
class Given:
    """A study has chosen a trial's point."""

    trial: str
    point: Point


@dataclass(frozen=True)
class Ended:
    """How a trial ended, as its study was told: its dev accuracy, or None where it has none."""

    trial: str
    accuracy: float | None


@dataclass(frozen=True)
class Judged:
    """What a scheduler made of a trial's round: does the trial go on? Task and seed are its
    comparison group.
    """

    trial: str
    task: str
    seed: int
    round: int
    accuracy: float
    """Of the round's best prompt on dev, a share from 0 to 1; what it was judged by."""
    goes_on: bool


Decision = Opened | Given | Ended | Judged
_KINDS: dict[str, type[Opened] | type[Given] | type[Ended] | type[Judged]] = {
    "opened": Opened,
    "given": Given,
    "ended": Ended,
    "judged": Judged,
}
"""As the record names them, whatever the classes are called."""
_NAME_OF = {kind: name for name, kind in _KINDS.items()}


def to_json(decision: Decision) -> dict[str, Any]:
    """Plain, with its kind; `from_json` gives back an equal decision."""
    return {"kind": _NAME_OF[type(decision)]} | asdict(decision)


def from_json(data: Any) -> Decision:
    """Raises DataError where `data` is not what `to_json` gives."""
    try:
        return _KINDS[data["kind"]](**{key: value for key, value in data.items() if key != "kind"})
    except (KeyError, TypeError, AttributeError) as problem:
        raise DataError(f"This is not a decision of a search: {data!r}.") from problem


class Decisions:
    """The record of one search.

    `keep` puts an entry on storage and is called before the entry counts: what it raises, `add`
    raises, and the entry was not made.
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
        """All entries in their order."""
        return tuple(self._made)

    @property
    def judged(self) -> tuple[Judged, ...]:
        return tuple(decision for decision in self._made if isinstance(decision, Judged))

    @property
    def trials(self) -> frozenset[str]:
        """The trials that it tells of."""
        return frozenset(
            decision.trial for decision in self._made if not isinstance(decision, Opened)
        )

    @property
    def at_once(self) -> int | None:
        """See Opened; None where no study was opened yet."""
        return self._at_once

    def point_of(self, trial: str) -> Point | None:
        """The point that a study has given it."""
        return self._point_by_trial.get(trial)

    def has_ended(self, trial: str) -> bool:
        """Was its study told how it ended?"""
        return trial in self._ended

    def goes_on(self, trial: str, round: int) -> bool | None:
        """What was decided after that round; None where nothing was."""
        return self._goes_on_by_round.get((trial, round))

    def last_round(self, trial: str) -> int:
        """The last round that was judged; -1 for none."""
        return self._last_round_by_trial.get(trial, -1)

    def add(self, decision: Decision) -> None:
        """Makes it count, once it is kept."""
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
