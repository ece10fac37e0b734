"""Check what can be checked before a diagnosis starts: data, splits, results folder, models."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.config.builtin_data import expect_made_for
from cluster.config.components import revisions
from cluster.config.experiment import Recorded
from cluster.config.grader import judge_model
from cluster.diagnosis.settings import DiagnosisSettings
from cluster.experiment.preflight import Question, as_optimizer, as_target, check_models, distinct
from cluster.experiment.prepare import (
    check_data,
    differing_versions,
    load,
    make_results_folder,
    versions,
    write_settings,
)
from optimizer.tasks.task import Task
from optimizer.types import Sampling
from serving.settings import ModelSettings
from serving.storage import Folder


@dataclass(frozen=True)
class Prepared:
    """A diagnosis that is known to be runnable."""

    settings: DiagnosisSettings
    tasks: Mapping[str, Task]
    """Tasks by label, in the order of the settings."""
    out: Folder
    notes: tuple[str, ...] = ()
    """Sentences that the user should read, such as that a version differs from the recorded one."""

    @property
    def models(self) -> tuple[ModelSettings, ...]:
        """Return both models; one of them where they are the same."""
        return models_of(self.settings)


def prepare(settings: DiagnosisSettings) -> Prepared:
    """Load the tasks, make the results folder, and send each remote model one request of each form.

    Models that we host are not called. Where this raises, nothing was started and only the check
    calls were made.

    Raises:
        UserError: The settings, the data or the results folder is at fault.
        EndpointError: A model does not answer.
    """
    sizes = settings.sizes.build()
    tasks = {task.label: load(task, sizes, settings.seed) for task in settings.tasks}
    if settings.recorded is None:  # what has begun may go on
        expect_made_for(settings.models_for_data(), tasks.values())
    recorded = Recorded(
        versions=versions() | revisions(settings, tasks.values()),
        data={label: {settings.seed: task.data_hash} for label, task in tasks.items()},
    )
    check_data(settings.recorded, recorded.data)
    notes = differing_versions(settings.recorded, recorded.versions)
    out = make_results_folder(settings)
    asyncio.run(check_models(questions_of(settings)))
    settings = settings.completed(out.absolute().place, recorded)
    write_settings(settings, out)
    return Prepared(settings, tasks, out, notes)


def models_of(settings: DiagnosisSettings) -> tuple[ModelSettings, ...]:
    """Return all models, each once: the target, the optimizer model, and those that grade."""
    graded = (judge_model(task.grader, settings.optimizer_model) for task in settings.tasks)
    judges = [model for model in graded if model is not None]
    models = (settings.target_model, settings.optimizer_model, *judges)
    return tuple({model.identity: model for model in models}.values())


def questions_of(settings: DiagnosisSettings) -> tuple[Question, ...]:
    """Return both models with each form of the diagnosis' requests."""
    depth = settings.depth()
    replies = [
        Sampling(depth.temperature, depth.max_tokens),
        Sampling(depth.search.temperature, depth.search.max_tokens),
    ]
    questions = [(settings.target_model, as_target(settings.sampling.build()))]
    return distinct(
        [*questions, *((settings.optimizer_model, as_optimizer(sampling)) for sampling in replies)]
    )
