"""Rebuilds the events of a job from the results of its trials."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from cluster.service.schemas import Event, EventKind, Usage
from cluster.trial.result import ENDED, TrialResult
from optimizer.candidate import Round
from serving.storage.text import storable

_MESSAGE_BY_END: dict[EventKind, str] = {
    "job.succeeded": "All trials have ended.",
    "job.failed": "A trial has failed.",
    "job.cancelled": "The run was ended before all trials had come to their end.",
}


class _EventMaker:
    """Numbers the events of one job from 1, all at one time."""

    def __init__(self, created_at: int) -> None:
        self._created_at = created_at
        self._numbers = count(1)

    def event(self, kind: EventKind, message: str, trial: str | None = None, **data: Any) -> Event:
        return Event(
            id=next(self._numbers),
            created_at=self._created_at,
            kind=kind,
            trial=trial,
            message=storable(message),
            data=data,
        )


def events_of_results(
    results: Sequence[TrialResult],
    created_at: int,
    usage: Usage,
    end: EventKind,
    guess_calls: bool = False,
) -> Iterator[Event]:
    """Yield the events that a job with these results would have had, trial after trial.

    Args:
        results: The results of the trials, in the order in which they are to appear.
        created_at: The time of all events, in Unix seconds.
        usage: What the whole job has spent.
        end: The kind of the last event.
        guess_calls: Whether to share a trial's calls out evenly over its rounds; a result does not
            record what was spent by the end of each. For a job that is only replayed.
    """
    make = _EventMaker(created_at)
    yield make.event("job.queued", "Queued.")
    yield make.event("job.started", "The job has started.")
    for result in results:
        yield make.event("trial.started", f"Trial {result.trial} has started.", result.trial)
        yield from _round_events(make, result, guess_calls)
        if result.status in (*ENDED, "failed"):
            yield _end_event(make, result)
    yield make.event(end, _MESSAGE_BY_END[end], target_calls=usage.target_calls)


def _round_events(make: _EventMaker, result: TrialResult, guess_calls: bool) -> Iterator[Event]:
    best: float | None = None
    for round in result.rounds:
        if not round.standings:
            continue
        yield make.event(
            "trial.round",
            round.note or f"Round {round.number} is done.",
            result.trial,
            **_round_data(result, round, guess_calls),
        )
        accuracy = round.best.accuracy
        if accuracy is not None and best is not None and accuracy > best:
            yield make.event(
                "trial.better",
                f"A better prompt: {accuracy:.2f} on the dev split, {best:.2f} before.",
                result.trial,
                round=round.number,
                dev_accuracy=accuracy,
            )
        best = accuracy if best is None else max(best, accuracy or 0.0)


def _round_data(result: TrialResult, round: Round, guess_calls: bool) -> dict[str, Any]:
    best = round.best
    interval = best.interval
    spent: dict[str, int] = {}
    if guess_calls:
        share = min(1.0, (round.number + 1) / max(1, len(result.rounds)))
        spent = {
            name: int(getattr(result, name) * share)
            for name in ("target_calls", "optimizer_calls", "ledger_hits", "repeats")
        }
    return {
        "round": round.number,
        "dev_accuracy": best.accuracy,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "interval_kind": interval.kind if interval else "",
        "best": best.candidate.id,
        "candidates": len(round.standings),
        **spent,
    }


def _end_event(make: _EventMaker, result: TrialResult) -> Event:
    shown = ("status", "test_accuracy", "test_low", "test_high", "test_interval_kind")
    data = {name: getattr(result, name) for name in shown}
    data["verdict"] = result.shown_verdict
    failed = result.status == "failed"
    message = result.error if failed else f"Trial {result.trial} has ended."
    return make.event("trial.failed" if failed else "trial.finished", message, result.trial, **data)
