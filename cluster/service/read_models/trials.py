"""A job's trials with their learning curves, and its best prompt. Pure.

A trial that has ended is in the folder as a whole. Of a running one the folder has the rounds, and
the job's events have what it has spent so far.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.analysis.form_control import form_sentence
from cluster.analysis.winner import dev_items, dev_standing, rank
from cluster.config.experiment import ExperimentSettings
from cluster.config.search_space import STRATEGY
from cluster.experiment.planning import TrialSpec, trial_specs
from cluster.results.markdown import best_prompt_page
from cluster.service.core.errors import Conflict, NotFound
from cluster.service.read_models.candidates import TrialCandidates, candidates_of, plain_prompt
from cluster.service.read_models.json_text import examples_of
from cluster.service.read_models.results import Results, TrialHistory
from cluster.service.schemas import (
    TERMINAL,
    Best,
    CallFailures,
    CurvePoint,
    Event,
    JobStatus,
    Trial,
    TrialStatus,
    Usage,
)
from optimizer.candidate import Candidate, Standing
from optimizer.statistics import Interval
from serving.storage.text import storable


@dataclass
class Spent:
    """The spending of a job's trials, as its events report it."""

    last_event: int = 0
    started: set[str] = field(default_factory=set)
    calls_by_round: dict[tuple[str, int], int] = field(default_factory=dict)
    """(trial, round) -> target calls."""
    usage_by_trial: dict[str, Usage] = field(default_factory=dict)

    def add(self, events: Iterable[Event]) -> None:
        """Take in further events."""
        for event in events:
            self.last_event = max(self.last_event, event.id)
            if event.trial is None:
                continue
            self.started.add(event.trial)
            if event.kind == "trial.round":
                spent = {name: _count(event.data.get(name)) for name in SPENT}
                self.usage_by_trial[event.trial] = Usage(**spent)
                self.calls_by_round[event.trial, _count(event.data.get("round"))] = spent[
                    "target_calls"
                ]


SPENT = ("target_calls", "optimizer_calls", "ledger_hits", "repeats")
"""The fields of a round's event with what its trial has spent; 0 where an old event lacks one."""


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def names(settings: ExperimentSettings) -> dict[str, TrialSpec]:
    """Return trial -> what it is, in the order in which they start."""
    return {trial_spec.trial: trial_spec for trial_spec in trial_specs(settings)}


def trial_spec_of(settings: ExperimentSettings, trial: str) -> TrialSpec:
    """Return what a trial is.

    Raises:
        NotFound: The job has no such trial.
    """
    found = names(settings).get(trial)
    if found is None:
        raise NotFound(f"The job has no trial {trial[:100]!r}.")
    return found


def trial_view(
    settings: ExperimentSettings,
    trial_spec: TrialSpec,
    candidates: TrialCandidates,
    history: TrialHistory,
    spent: Spent,
    job: JobStatus,
) -> Trial:
    """Return a trial as the API shows it.

    Args:
        settings: The experiment's settings.
        trial_spec: What the trial is.
        candidates: Its candidates.
        history: Its rounds, and its result if it has ended.
        spent: What the job's events say of its spending.
        job: The status of the job.
    """
    result = history.result
    point = trial_spec.point or {}
    curve = [
        _point(round.number, round.best, spent.calls_by_round.get((history.trial, round.number)))
        for round in history.rounds
        if round.standings
    ]
    common = {
        "id": history.trial,
        "task": storable(trial_spec.task),
        "seed": trial_spec.seed,
        "curve": curve,
        "candidates": len(candidates.entries),
        "best": candidates.best.id if candidates.best else None,
    }
    if result is None:
        return Trial(
            **common,
            strategy=storable(str(point.get(STRATEGY, ""))),
            selection=storable(settings.selection.title),
            status=_status(history, spent, job),
            settings=dict(point) if settings.search else {},
            usage=spent.usage_by_trial.get(history.trial, Usage()),
        )
    return Trial(
        **common,
        strategy=storable(result.strategy),
        selection=storable(result.selection),
        status=result.status,
        error=storable(result.error),
        ending=result.ending,
        failures=[
            CallFailures(
                model=one.model, kind=one.kind, reason=storable(one.reason), calls=one.calls
            )
            for one in result.failures
        ],
        settings=dict(result.settings),
        usage=Usage(
            target_calls=result.target_calls,
            optimizer_calls=result.optimizer_calls,
            grader_calls=result.grader_calls,
            ledger_hits=result.ledger_hits,
            repeats=result.repeats,
            calls_by_purpose=dict(result.calls_by_purpose),
            money=result.money,
            wall_s=result.wall_s,
        ),
        seed_prompt_test_accuracy=result.seed_prompt_test_accuracy,
        test_accuracy=result.test_accuracy,
        test_low=result.test_low,
        test_high=result.test_high,
        test_interval_kind=result.test_interval_kind,
        test_items=result.test_items,
        verdict=result.shown_verdict,
        p_value=result.p_value,
        seed_prompt_test_macro_f1=result.seed_prompt_test_macro_f1,
        test_macro_f1=result.test_macro_f1,
        form=storable(form_sentence(result)),
    )


def best_by_task(
    results: Results, histories: Sequence[TrialHistory], trial_specs: Mapping[str, TrialSpec]
) -> list[Best]:
    """Return the best prompt of each task, in the order of the tasks.

    It is chosen as in cluster.analysis.winner. A task of which no trial has finished a round is
    left out.
    """
    tasks = dict.fromkeys(one.task for one in trial_specs.values())
    by_task = {
        task: [history for history in histories if trial_specs[history.trial].task == task]
        for task in tasks
    }
    found = [
        (task, history, candidates_of(results, history).best)
        for task, its in by_task.items()
        if (history := _winner(results, its))
    ]
    return [
        _best(task, history, candidate)
        for task, history, candidate in found
        if candidate is not None
    ]


def best_view(
    results: Results,
    histories: Sequence[TrialHistory],
    trial: str | None,
    tasks: Mapping[str, str] | None = None,
) -> tuple[TrialHistory, Best]:
    """Return the best prompt of a trial, or of the trial with the best prompt on its dev split.

    Args:
        results: The reader of results.
        histories: The trials.
        trial: The trial; None: the best one.
        tasks: Trial -> its task.

    Raises:
        NotFound: The job has no such trial.
        Conflict: No trial has finished a round yet.
    """
    wanted = [history for history in histories if trial is None or history.trial == trial]
    if not wanted:
        raise NotFound(f"The job has no trial {(trial or '')[:100]!r}.")
    history = _winner(results, wanted)
    candidate = candidates_of(results, history).best if history else None
    if history is None or candidate is None:
        raise Conflict("There is no best prompt yet: no trial has finished a round.")
    return history, _best((tasks or {}).get(history.trial, ""), history, candidate)


def _winner(results: Results, histories: Sequence[TrialHistory]) -> TrialHistory | None:
    """Return the first of the highest rank among those that have a best prompt."""
    found = [history for history in histories if candidates_of(results, history).best is not None]
    return max(found, key=lambda history: rank(*_dev(history)), default=None)


def _best(task: str, history: TrialHistory, candidate: Candidate) -> Best:
    result, (accuracy, items) = history.result, _dev(history)
    interval = _dev_interval(history)
    return Best(
        task=storable(task),
        dev_items=items,
        dev_low=interval.low if interval else None,
        dev_high=interval.high if interval else None,
        dev_interval_kind=interval.kind if interval else "",
        worked_examples=examples_of(candidate.prompt.demonstrations),
        trial=history.trial,
        candidate=candidate.id,
        text=storable(candidate.prompt.text()),
        prompt=plain_prompt(candidate.prompt),
        dev_accuracy=accuracy,
        test_accuracy=result.test_accuracy if result else None,
        test_low=result.test_low if result else None,
        test_high=result.test_high if result else None,
        test_interval_kind=result.test_interval_kind if result else "",
        test_items=result.test_items if result else 0,
        seed_prompt_test_accuracy=result.seed_prompt_test_accuracy if result else None,
        verdict=result.shown_verdict if result else "",
        form=storable(form_sentence(result)) if result else "",
    )


def best_page(history: TrialHistory) -> str:
    """Return the page of a trial's best prompt, as in best/TRIAL.md.

    Raises:
        Conflict: The trial has not ended.
    """
    if history.result is None or history.result.best is None:
        raise Conflict(f"Trial {history.trial} has not ended; its page is made when it has.")
    return storable(best_prompt_page(history.result))


def _dev(history: TrialHistory) -> tuple[float | None, int]:
    """Return the dev accuracy of the best prompt, and on how many items it was measured."""
    if history.result is not None and history.result.best is not None:
        return history.result.dev_accuracy, dev_items(history.result)
    standings = history.rounds[-1].standings if history.rounds else ()
    return (standings[0].accuracy, standings[0].items) if standings else (None, 0)


def _dev_interval(history: TrialHistory) -> Interval | None:
    if history.result is not None and history.result.best is not None:
        standing = dev_standing(history.result)
        return standing.interval if standing else None
    standings = history.rounds[-1].standings if history.rounds else ()
    return standings[0].interval if standings else None


def _point(number: int, best: Standing, target_calls: int | None) -> CurvePoint:
    interval = best.interval
    return CurvePoint(
        round=number,
        target_calls=target_calls,
        dev_accuracy=best.accuracy,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        interval_kind=interval.kind if interval else "",
        items=best.items if interval else 0,
    )


def _status(history: TrialHistory, spent: Spent, job: JobStatus) -> TrialStatus:
    if job in TERMINAL:
        return "cancelled" if job == "cancelled" else "stopped"
    begun = bool(history.rounds) or history.trial in spent.started
    return "running" if begun else "waiting"


def total_usage(trials: Mapping[str, Trial]) -> Usage:
    """Return what all trials have spent together."""
    purposes: dict[str, int] = {}
    for trial in trials.values():
        for purpose, calls in trial.usage.calls_by_purpose.items():
            purposes[purpose] = purposes.get(purpose, 0) + calls
    used = [trial.usage for trial in trials.values()]
    paid = [one.money for one in used]
    return Usage(
        target_calls=sum(one.target_calls for one in used),
        optimizer_calls=sum(one.optimizer_calls for one in used),
        grader_calls=sum(one.grader_calls for one in used),
        ledger_hits=sum(one.ledger_hits for one in used),
        repeats=sum(one.repeats for one in used),
        calls_by_purpose=purposes,
        money=sum(one for one in paid if one is not None) if paid and None not in paid else None,
        wall_s=max((one.wall_s for one in used), default=0.0),
    )
