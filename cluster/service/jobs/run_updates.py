"""What a running job tells its controller: small picklable pieces, and the watcher that makes them
of an experiment's course.

Knows the experiment's results, and neither Ray nor storage but for the rounds that it writes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.service.core.job_record import Spent
from cluster.trial.plan import Progress
from cluster.trial.result import TrialResult
from optimizer.candidate import Round
from optimizer.statistics import wilson
from serving.storage import Folder
from serving.storage.text import storable_bytes

ROUNDS = "rounds"
WARN_AT = (0.8, 0.95)
"""Shares of a limit."""


@dataclass(frozen=True)
class Phase:
    text: str


@dataclass(frozen=True)
class Sized:
    """The experiment is prepared."""

    trials: int


@dataclass(frozen=True)
class Started:
    trial: str


@dataclass(frozen=True)
class Moved:
    """How far a trial is."""

    trial: str
    spent: Spent
    paused: str


@dataclass(frozen=True)
class Rounded:
    """A trial's round has ended."""

    trial: str
    spent: Spent
    data: Mapping[str, Any]
    better: bool
    """Is its best prompt another than before, with more on the dev split?"""
    task: str = ""


@dataclass(frozen=True)
class Ended:
    trial: str
    spent: Spent
    status: str
    error: str
    dev_accuracy: float | None
    data: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""


@dataclass(frozen=True)
class Warned:
    """Most of a limit is used up."""

    trial: str
    limit: str
    share: float
    used: int


RunUpdates = Phase | Sized | Started | Moved | Rounded | Ended | Warned


class Reporting:
    """The collector.Watcher of a job.

    `tell` is called for each piece of news; `limits`: calls that a trial may make, by name.

    Each finished round stands in `out`/rounds/TRIAL/NNNN.json before it is told.
    """

    def __init__(
        self, out: Folder, limits: Mapping[str, int | None], tell: Callable[[RunUpdates], None]
    ) -> None:
        self._rounds = out / ROUNDS
        self._limits = limits
        self._tell = tell
        self._spent: dict[str, Spent] = {}
        self._warned: set[tuple[str, str, float]] = set()

    def phase(self, text: str) -> None:
        self._tell(Phase(text))

    def noticed(self, text: str) -> None:
        self._tell(Phase(text.rstrip(".")))

    def started(self, trial: str) -> None:
        self._spent[trial] = Spent()
        self._tell(Started(trial))

    def progressed(self, trial: str, progress: Progress) -> None:
        before = self._spent.get(trial, Spent())
        spent = Spent(
            progress.target_calls,
            progress.optimizer_calls,
            progress.ledger_hits,
            before.calls_by_purpose,
            before.money,
            progress.repeats,
        )
        self._spent[trial] = spent
        self._tell(Moved(trial, spent, progress.paused))
        for limit, used in (
            ("target_calls", spent.target_calls),
            ("optimizer_calls", spent.optimizer_calls),
        ):
            self._warn(trial, limit, used)

    def rounded(self, trial: str, so_far: str) -> None:
        known: dict[str, Any] = json.loads(so_far)
        rounds = [Round.from_json(one) for one in known["rounds"]]
        last = rounds[-1]
        name = f"{last.number:04d}.json"
        if not (self._rounds / trial).exists(name):
            text = json.dumps(last.to_json(), ensure_ascii=False) + "\n"
            (self._rounds / trial).write(name, storable_bytes(text))
        result = TrialResult.from_json(known)
        spent = self._spent[trial] = _spent(result)
        self._tell(Rounded(trial, spent, _round_data(rounds, spent), _better(rounds), result.task))

    def ended(self, result: TrialResult) -> None:
        data = {
            "status": result.status,
            "test_accuracy": result.test_accuracy,
            "test_low": result.test_low,
            "test_high": result.test_high,
            "verdict": result.told,
        }
        self._tell(
            Ended(
                result.trial,
                _spent(result),
                result.status,
                result.error,
                result.dev_accuracy,
                data,
                result.task,
            )
        )

    def _warn(self, trial: str, limit: str, used: int) -> None:
        most = self._limits.get(limit)
        for share in WARN_AT:
            if most and used >= share * most and (trial, limit, share) not in self._warned:
                self._warned.add((trial, limit, share))
                self._tell(Warned(trial, limit, share, used))


def _spent(result: TrialResult) -> Spent:
    return Spent(
        result.target_calls,
        result.optimizer_calls,
        result.ledger_hits,
        dict(result.calls_by_purpose),
        result.money,
        result.repeats,
    )


def _round_data(rounds: list[Round], spent: Spent) -> dict[str, Any]:
    best = rounds[-1].best
    interval = (
        wilson(best.accuracy * best.items, best.items)
        if best.accuracy is not None and best.items
        else None
    )
    return {
        "round": rounds[-1].number,
        "dev_accuracy": best.accuracy,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "best": best.candidate.id,
        "candidates": len(
            {standing.candidate.id for round in rounds for standing in round.standings}
        ),
        "target_calls": spent.target_calls,
        "optimizer_calls": spent.optimizer_calls,
        "ledger_hits": spent.ledger_hits,
        "repeats": spent.repeats,
    }


def _better(rounds: list[Round]) -> bool:
    if len(rounds) < 2:
        return False
    now, before = rounds[-1].best, rounds[-2].best
    return now.candidate.id != before.candidate.id and (now.accuracy or 0.0) > (
        before.accuracy or 0.0
    )
