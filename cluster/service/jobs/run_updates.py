"""What a running job reports to its controller: small picklable updates, and what makes them.

Knows the experiment's results; no Ray, and no storage but for the rounds that it writes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.evaluation.context import HOLDER, Spending
from cluster.evaluation.summary import Evaluated, PromptSummary
from cluster.service.core.job_record import Spent
from cluster.trial.plan import Progress
from cluster.trial.result import TrialResult
from optimizer.budget.call_budget import Usage
from optimizer.candidate import Round
from serving.storage import Folder
from serving.storage.text import storable_bytes

ROUNDS = "rounds"
WARN_AT = (0.8, 0.95)
"""Shares of a limit at which a warning is reported."""
STEPS = 20
"""Events of an evaluation on its way [ours]."""


@dataclass(frozen=True)
class Phase:
    """The phase of the run: what it does now."""

    text: str


@dataclass(frozen=True)
class Sized:
    """The experiment is prepared, and its trials are counted."""

    trials: int


@dataclass(frozen=True)
class Started:
    """A trial has started."""

    trial: str


@dataclass(frozen=True)
class Moved:
    """The spending of a trial so far, and the reason of its pause, if it is paused."""

    trial: str
    spent: Spent
    paused: str


@dataclass(frozen=True)
class Rounded:
    """A trial has finished a round."""

    trial: str
    spent: Spent
    data: Mapping[str, Any]
    better: bool
    """True if its best prompt is another one than before, with a higher dev accuracy."""
    task: str = ""


@dataclass(frozen=True)
class Ended:
    """A trial has ended."""

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


@dataclass(frozen=True)
class Answered:
    """An evaluation has so many answers of those that it wants."""

    answers: int
    wanted: int


@dataclass(frozen=True)
class Scored:
    """An evaluation has scored its prompts."""

    prompts: tuple[PromptSummary, ...]
    passed: bool | None


RunUpdate = Phase | Sized | Started | Moved | Rounded | Ended | Warned | Answered | Scored


class RunReporter:
    """A ProgressListener that reports the course of an experiment to the controller.

    Each finished round is in `out`/rounds/TRIAL/NNNN.json before it is reported.
    """

    def __init__(
        self, out: Folder, limits: Mapping[str, int | None], report: Callable[[RunUpdate], None]
    ) -> None:
        """Report for one run.

        Args:
            out: The results folder.
            limits: Calls that a trial may make, by name of the limit; None: unlimited.
            report: Called with each update.
        """
        self._rounds = out / ROUNDS
        self._limits = limits
        self._report = report
        self._spent: dict[str, Spent] = {}
        self._warned: set[tuple[str, str, float]] = set()

    def phase(self, text: str) -> None:
        """Report what the run does now."""
        self._report(Phase(text))

    def noticed(self, text: str) -> None:
        """Report a notice, such as one of an endpoint that does not answer."""
        self._report(Phase(text.rstrip(".")))

    def started(self, trial: str) -> None:
        """Report that a trial has started."""
        self._spent[trial] = Spent()
        self._report(Started(trial))

    def progressed(self, trial: str, progress: Progress) -> None:
        """Report what a trial has spent, and warn where it comes close to a limit."""
        before = self._spent.get(trial, Spent())
        spent = Spent(
            progress.target_calls,
            progress.optimizer_calls,
            progress.ledger_hits,
            # A tick knows neither purposes nor money: the last round's stay until the next one.
            before.calls_by_purpose,
            before.money,
            progress.repeats,
            progress.grader_calls,
        )
        self._spent[trial] = spent
        self._report(Moved(trial, spent, progress.paused))
        for limit, used in (
            ("target_calls", spent.target_calls),
            ("optimizer_calls", spent.optimizer_calls),
            ("grader_calls", spent.grader_calls),
        ):
            most = self._limits.get(limit)
            for share in WARN_AT:
                if most and used >= share * most and (trial, limit, share) not in self._warned:
                    # Progress comes every second, and the warning once.
                    self._warned.add((trial, limit, share))
                    self._report(Warned(trial, limit, share, used))

    def rounded(self, trial: str, so_far: str) -> None:
        """Write the last round of a trial into the results folder, and report it."""
        known: dict[str, Any] = json.loads(so_far)
        rounds = [Round.from_json(one) for one in known["rounds"]]
        last = rounds[-1]
        name = f"{last.number:04d}.json"
        # A resumed run replays its rounds: the file that is there was shown already.
        if not (self._rounds / trial).exists(name):
            text = json.dumps(last.to_json(), ensure_ascii=False) + "\n"
            (self._rounds / trial).write(name, storable_bytes(text))
        result = TrialResult.from_json(known)
        spent = self._spent[trial] = _spent(result)
        self._report(
            Rounded(trial, spent, _round_data(rounds, spent), _better(rounds), result.task)
        )

    def ended(self, result: TrialResult) -> None:
        """Report that a trial has ended, with its test result."""
        data = {
            "status": result.status,
            "test_accuracy": result.test_accuracy,
            "test_low": result.test_low,
            "test_high": result.test_high,
            "test_interval_kind": result.test_interval_kind,
            "verdict": result.shown_verdict,
        }
        self._report(
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


class EvaluationReporter:
    """Reports the course of an evaluation to the controller."""

    def __init__(self, report: Callable[[RunUpdate], None]) -> None:
        """Report for one run, with each update to `report`."""
        self._report = report
        self._step = 0

    def phase(self, text: str) -> None:
        """Report what the run does now."""
        self._report(Phase(text.rstrip(".")))

    def answered(self, answers: int, wanted: int) -> None:
        """Report how many answers there are; at each twentieth of them also as an event."""
        self._report(Answered(answers, wanted))
        if (step := STEPS * answers // wanted) > self._step:
            self._step = step
            self.phase(f"{answers:,} of {wanted:,} answers")

    def spent(self, spending: Spending) -> None:
        """Report what was spent."""
        target, grader = (
            spending.usage_by_role.get("target", Usage()),
            spending.usage_by_role.get("grader", Usage()),
        )
        spent = Spent(
            target_calls=target.calls,
            ledger_hits=target.ledger_hits + grader.ledger_hits,
            calls_by_purpose={
                purpose: usage.calls
                for purpose, usage in (("validate", target), ("grade", grader))
                if usage.calls
            },
            money=spending.money,
            grader_calls=grader.calls,
        )
        self._report(Moved(HOLDER, spent, spending.paused))

    def scored(self, evaluated: Evaluated) -> None:
        """Report what the prompts scored."""
        self._report(Scored(evaluated.prompts, evaluated.passed))


def _spent(result: TrialResult) -> Spent:
    return Spent(
        result.target_calls,
        result.optimizer_calls,
        result.ledger_hits,
        dict(result.calls_by_purpose),
        result.money,
        result.repeats,
        result.grader_calls,
    )


def _round_data(rounds: list[Round], spent: Spent) -> dict[str, Any]:
    best = rounds[-1].best
    interval = best.interval
    return {
        "round": rounds[-1].number,
        "dev_accuracy": best.accuracy,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "interval_kind": interval.kind if interval else "",
        "best": best.candidate.id,
        "candidates": len(
            {standing.candidate.id for round in rounds for standing in round.standings}
        ),
        "target_calls": spent.target_calls,
        "optimizer_calls": spent.optimizer_calls,
        "ledger_hits": spent.ledger_hits,
        "repeats": spent.repeats,
        **({"grader_calls": spent.grader_calls} if spent.grader_calls else {}),
    }


def _better(rounds: list[Round]) -> bool:
    if len(rounds) < 2:
        return False
    now, before = rounds[-1].best, rounds[-2].best
    return now.candidate.id != before.candidate.id and (now.accuracy or 0.0) > (
        before.accuracy or 0.0
    )
