"""Plan the trials of an experiment: from settings to TrialSpecs, from a TrialSpec to a TrialPlan.

A TrialSpec is small and plain, and is part of Tune's trial configuration; driver and worker make
the same plan of it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cluster.config.component_spec import SelectionSpec
from cluster.config.experiment import ExperimentSettings
from cluster.config.grader import judge_model
from cluster.config.labels import slug
from cluster.config.search_space import (
    OPTIMIZER,
    SAMPLING,
    SELECTION,
    STRATEGY,
    model_at,
    model_named,
)
from cluster.search.space import Point, settings_at
from cluster.trial.plan import TrialPlan
from serving.settings import ModelSettings

ComparisonGroup = tuple[str, int]
"""Task label and seed: trials of one comparison group share their data, and only these are compared
with each other.
"""


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """One trial before it starts."""

    trial: str
    """Its name within the experiment, usable as a file name."""
    task: str
    """The label in the experiment."""
    seed: int
    number: int
    """Its place in its comparison group, from 0."""
    point: Point | None
    """Its point of the search space; None where the searcher chooses it when the trial starts."""

    @property
    def comparison_group(self) -> ComparisonGroup:
        """Return the group of trials that it is compared with."""
        return self.task, self.seed

    def to_config(self) -> dict[str, Any]:
        """Return the spec as Tune carries it."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TrialSpec":
        """Return the spec in a Tune configuration."""
        return cls(**config)


def trial_specs(settings: ExperimentSettings) -> tuple[TrialSpec, ...]:
    """Return every trial, in the order in which they start.

    Seeds come last, so that the first results can be compared, and tasks side by side.
    """
    if settings.search is None:
        used: set[str] = set()
        return tuple(
            TrialSpec(
                trial=_unused(f"{slug(task.label)}-{slug(strategy.label)}", seed, used),
                task=task.label,
                seed=seed,
                number=settings.strategies.index(strategy),
                point={STRATEGY: strategy.label},
            )
            for task, strategy, seed in settings.grid()
        )
    points = settings.search.searcher.build().plan(settings.space(), settings.search.trials)
    width = max(2, len(str(len(points) - 1)))
    return tuple(
        TrialSpec(
            trial=f"{slug(task.label)}-p{number:0{width}}-s{seed}",
            task=task.label,
            seed=seed,
            number=number,
            point=point,
        )
        for seed in settings.seeds
        for number, point in enumerate(points)
        for task in settings.tasks
    )


def _unused(pair: str, seed: int, used: set[str]) -> str:
    """Return a trial's name, numbered where another task and strategy give the same.

    Such are a-b with c, and a with b-c.
    """
    name, number = f"{pair}-s{seed}", 1
    while name in used:
        number += 1
        name = f"{pair}-{number}-s{seed}"
    used.add(name)
    return name


def plan_of(settings: ExperimentSettings, trial_spec: TrialSpec) -> TrialPlan:
    """Return everything that defines a trial.

    Raises:
        SettingsError: The point's values exclude each other.
    """
    assert trial_spec.point is not None, "a searcher gives a trial its point before it starts"
    point = trial_spec.point
    strategy = next(spec for spec in settings.strategies if spec.label == point[STRATEGY])
    task = next(task for task in settings.tasks if task.label == trial_spec.task)
    selection = (
        SelectionSpec(name=str(point[SELECTION])) if SELECTION in point else settings.selection
    )
    return TrialPlan(
        id=trial_spec.trial,
        task=trial_spec.task,
        seed=trial_spec.seed,
        settings=point if settings.search else {},
        strategy=strategy.build(
            **settings_at(point, STRATEGY), **settings_at(point, strategy.label)
        ),
        strategy_label=strategy.label,
        selection=selection.build(**settings_at(point, SELECTION)),
        selection_label=selection.title,
        target=settings.target_model,
        optimizer=_optimizer(settings, point),
        grader=judge_model(task.grader, settings.optimizer_model),
        sampling=settings.sampling.changed(settings_at(point, SAMPLING)).build(),
        allowed=settings.budget.of_a_trial(),
        form_control=settings.form_control,
    )


def optimizers(settings: ExperimentSettings) -> tuple[ModelSettings, ...]:
    """Return every optimizer model that a trial may have, each once."""
    models = (_optimizer(settings, point) for point in settings.space().part(OPTIMIZER).all())
    return tuple({model.identity: model for model in models}.values())


def judges(settings: ExperimentSettings) -> tuple[ModelSettings, ...]:
    """Return every model that a trial's grader may call, each once.

    It is the same in all trials of a task: a judge that the search chose could not be compared.
    """
    models = (judge_model(task.grader, settings.optimizer_model) for task in settings.tasks)
    return tuple({model.identity: model for model in models if model}.values())


def _optimizer(settings: ExperimentSettings, point: Point) -> ModelSettings:
    base = (
        model_named(str(point[OPTIMIZER]), settings.models)
        if OPTIMIZER in point
        else settings.optimizer
    )
    return model_at(base, settings_at(point, OPTIMIZER))
