"""A job's trials with their learning curves, and its best prompt. Pure.

What has ended is told by the folder alone. Of what is under way the folder has the rounds, and the
job's events tell what it has spent so far.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.analysis.form_control import form_told
from cluster.analysis.winner import dev_items, rank
from cluster.config.experiment import ExperimentSettings
from cluster.config.search_space import STRATEGY
from cluster.experiment.planning import TrialSpec, trial_specs
from cluster.results.markdown import best_prompt_page
from cluster.service.core.errors import Conflict, NotFound
from cluster.service.read_models.candidates import Family, family_of, plain_prompt
from cluster.service.read_models.json_text import examples_of
from cluster.service.read_models.results import Course, Results
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
from optimizer.statistics import estimate, wilson
from serving.storage.text import storable


@dataclass
class Spent:
    """What the events of a job say of its trials."""

    last_event: int = 0
    started: set[str] = field(default_factory=set)
    calls_by_round: dict[tuple[str, int], int] = field(default_factory=dict)
    """(trial, round) -> target calls."""
    usage_by_trial: dict[str, Usage] = field(default_factory=dict)

    def hear(self, events: Iterable[Event]) -> None:
        for event in events:
            self.last_event = max(self.last_event, event.id)
            if event.trial is None:
                continue
            self.started.add(event.trial)
            if event.kind == "trial.round":
                told = {name: _count(event.data.get(name)) for name in SPENT}
                self.usage_by_trial[event.trial] = Usage(**told)
                self.calls_by_round[event.trial, _count(event.data.get("round"))] = told[
                    "target_calls"
                ]


SPENT = ("target_calls", "optimizer_calls", "ledger_hits", "repeats")
"""What a round's event tells of what its trial has spent so far; 0 in events of before it was told.
"""


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def names(settings: ExperimentSettings) -> dict[str, TrialSpec]:
    """Trial -> what it is, in the order in which they start."""
    return {trial_spec.trial: trial_spec for trial_spec in trial_specs(settings)}


def trial_spec_of(settings: ExperimentSettings, trial: str) -> TrialSpec:
    """Raises NotFound."""
    found = names(settings).get(trial)
    if found is None:
        raise NotFound(f"The job has no trial {trial[:100]!r}.")
    return found


def trial_view(
    settings: ExperimentSettings,
    trial_spec: TrialSpec,
    family: Family,
    course: Course,
    spent: Spent,
    job: JobStatus,
) -> Trial:
    """One trial as people see it."""
    result = course.result
    point = trial_spec.point or {}
    curve = [
        _point(round.number, round.best, spent.calls_by_round.get((course.trial, round.number)))
        for round in course.rounds
        if round.standings
    ]
    common = {
        "id": course.trial,
        "task": storable(trial_spec.task),
        "seed": trial_spec.seed,
        "curve": curve,
        "candidates": len(family.members),
        "best": family.best.id if family.best else None,
    }
    if result is None:
        return Trial(
            **common,
            strategy=storable(str(point.get(STRATEGY, ""))),
            selection=storable(settings.selection.title),
            status=_status(course, spent, job),
            settings=dict(point) if settings.search else {},
            usage=spent.usage_by_trial.get(course.trial, Usage()),
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
        test_items=result.test_items,
        verdict=result.told,
        p_value=result.p_value,
        form=storable(form_told(result)),
    )


def best_by_task(
    results: Results, courses: Sequence[Course], trial_specs: Mapping[str, TrialSpec]
) -> list[Best]:
    """The best prompt of each task, in the order of its tasks, by the rule of
    cluster.analysis.winner; none for a task of which no
    trial has finished a round.
    """
    tasks = dict.fromkeys(one.task for one in trial_specs.values())
    by_task = {
        task: [course for course in courses if trial_specs[course.trial].task == task]
        for task in tasks
    }
    found = [
        (task, course, family_of(results, course).best)
        for task, its in by_task.items()
        if (course := _winner(results, its))
    ]
    return [
        _best(task, course, candidate) for task, course, candidate in found if candidate is not None
    ]


def best_view(
    results: Results,
    courses: Sequence[Course],
    trial: str | None,
    tasks: Mapping[str, str] | None = None,
) -> tuple[Course, Best]:
    """The best prompt of a trial, or of the trial that stands best on its dev split; `tasks`: trial
    -> its task. Raises NotFound,
    or Conflict where there is none yet.
    """
    wanted = [course for course in courses if trial is None or course.trial == trial]
    if not wanted:
        raise NotFound(f"The job has no trial {(trial or '')[:100]!r}.")
    course = _winner(results, wanted)
    candidate = family_of(results, course).best if course else None
    if course is None or candidate is None:
        raise Conflict("There is no best prompt yet: no trial has finished a round.")
    return course, _best((tasks or {}).get(course.trial, ""), course, candidate)


def _winner(results: Results, courses: Sequence[Course]) -> Course | None:
    """The first of the highest rank among those that have a best prompt."""
    found = [course for course in courses if family_of(results, course).best is not None]
    return max(found, key=lambda course: rank(*_dev(course)), default=None)


def _best(task: str, course: Course, candidate: Candidate) -> Best:
    result, (accuracy, items) = course.result, _dev(course)
    interval = (
        wilson(min(items, accuracy * items), items) if accuracy is not None and items else None
    )
    return Best(
        task=storable(task),
        dev_items=items,
        dev_low=interval.low if interval else None,
        dev_high=interval.high if interval else None,
        worked_examples=examples_of(candidate.prompt.demonstrations),
        trial=course.trial,
        candidate=candidate.id,
        text=storable(candidate.prompt.text()),
        prompt=plain_prompt(candidate.prompt),
        dev_accuracy=accuracy,
        test_accuracy=result.test_accuracy if result else None,
        test_low=result.test_low if result else None,
        test_high=result.test_high if result else None,
        test_items=result.test_items if result else 0,
        seed_prompt_test_accuracy=result.seed_prompt_test_accuracy if result else None,
        verdict=result.told if result else "",
        form=storable(form_told(result)) if result else "",
    )


def best_page(course: Course) -> str:
    """As best/TRIAL.md. Raises Conflict where the trial has not ended."""
    if course.result is None or course.result.best is None:
        raise Conflict(f"Trial {course.trial} has not ended; its page is made when it has.")
    return storable(best_prompt_page(course.result))


def _dev(course: Course) -> tuple[float | None, int]:
    """The dev accuracy of its best prompt, and on how many items."""
    if course.result is not None and course.result.best is not None:
        return course.result.dev_accuracy, dev_items(course.result)
    standings = course.rounds[-1].standings if course.rounds else ()
    return (standings[0].accuracy, standings[0].items) if standings else (None, 0)


def _point(number: int, best: Standing, target_calls: int | None) -> CurvePoint:
    if best.accuracy is None:
        return CurvePoint(
            round=number, target_calls=target_calls, dev_accuracy=None, low=None, high=None
        )
    measured = estimate(best.scores) if any(score is not None for score in best.scores) else None
    interval = measured or wilson(min(best.items, max(0.0, best.accuracy * best.items)), best.items)
    return CurvePoint(
        round=number,
        target_calls=target_calls,
        dev_accuracy=best.accuracy,
        low=interval.low,
        high=interval.high,
        items=best.items,
    )


def _status(course: Course, spent: Spent, job: JobStatus) -> TrialStatus:
    if job in TERMINAL:
        return "cancelled" if job == "cancelled" else "stopped"
    begun = bool(course.rounds) or course.trial in spent.started
    return "running" if begun else "waiting"


def total_usage(trials: Mapping[str, Trial]) -> Usage:
    """Of all trials together."""
    purposes: dict[str, int] = {}
    for trial in trials.values():
        for purpose, calls in trial.usage.calls_by_purpose.items():
            purposes[purpose] = purposes.get(purpose, 0) + calls
    used = [trial.usage for trial in trials.values()]
    paid = [one.money for one in used]
    return Usage(
        target_calls=sum(one.target_calls for one in used),
        optimizer_calls=sum(one.optimizer_calls for one in used),
        ledger_hits=sum(one.ledger_hits for one in used),
        repeats=sum(one.repeats for one in used),
        calls_by_purpose=purposes,
        money=sum(one for one in paid if one is not None) if paid and None not in paid else None,
        wall_s=max((one.wall_s for one in used), default=0.0),
    )
