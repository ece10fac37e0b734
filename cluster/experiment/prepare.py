"""All that can go wrong before a trial starts goes wrong here: data, splits, the results folder,
the models. Starts no Ray.

Turns settings into an `Experiment`: trials and tasks that are known to be usable.
"""

import asyncio
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import yaml
from pydantic import BaseModel

from cluster.config.experiment import ExperimentSettings, Recorded, TaskSettings
from cluster.experiment.planning import TrialSpec, optimizers, plan_of, trial_specs
from cluster.experiment.preflight import check_models, questions_of
from cluster.experiment.search_journal import open_decisions
from cluster.search.decisions import Decisions
from cluster.trial.budget import FinalTest, price_list_of
from cluster.trial.plan import TrialPlan
from optimizer.budget.cost import Cost
from optimizer.errors import DataError, SettingsError, StorageError
from optimizer.graders.graders import with_answer_line
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from serving.settings import ModelSettings
from serving.storage import Folder, open_folder

RESULTS = Path("results")
SETTINGS_FILE = "settings.yaml"
_PACKAGES = ("promptray", "ray", "openai", "ctranslate2", "tokenizers")


class Named(Protocol):
    """What a results folder needs to know of settings."""

    @property
    def name(self) -> str: ...

    @property
    def out(self) -> str:
        """ "" for a new folder under RESULTS."""


@dataclass(frozen=True)
class Experiment:
    """What is to be run: every trial's task is in `tasks`, under its task label and seed."""

    settings: ExperimentSettings
    trial_specs: tuple[TrialSpec, ...]
    tasks: Mapping[tuple[str, int], Task]
    out: Folder
    notes: tuple[str, ...] = ()
    """Sentences that the user should read, such as that a version differs from the recorded one."""
    data_notes: tuple[str, ...] = ()
    """A sentence a task file on what was read of it, and what was not."""
    decisions: Decisions = field(default_factory=Decisions)
    """Those of its search, as far as they were made before; without a search there are none."""

    @property
    def plans(self) -> tuple[TrialPlan, ...]:
        """Of the trials whose point is planned: all of them, unless a searcher chooses as it
        goes.
        """
        return tuple(
            plan_of(self.settings, trial_spec)
            for trial_spec in self.trial_specs
            if trial_spec.point is not None
        )


def prepare(settings: ExperimentSettings, *, repeated: bool = False) -> Experiment:
    """Checks everything that can be checked and makes the results folder; a new one with its
    settings.yaml. The settings of a folder that has some are replaced by the run, when it holds the
    ledger: another one may be at work there. `repeated`: see questions_of.

    Raises UserError or EndpointError in one sentence; then nothing was started and nothing but the
    check calls was spent.
    """
    trials, tasks, recorded = check(settings)
    if settings.search:
        settings.search.searcher.build().check()
    notes = differing_versions(settings.recorded, recorded.versions)
    out = make_results_folder(settings)
    names = [trial.trial for trial in trials]
    decisions = open_decisions(out, settings, recorded, names) if settings.search else Decisions()
    asyncio.run(check_models(questions_of(settings, repeated=repeated)))
    settings = settings.completed(out.absolute().place, recorded)
    if not out.exists(SETTINGS_FILE):
        write_settings(settings, out)
    return Experiment(settings, trials, tasks, out, notes, data_notes(tasks), decisions)


def check(
    settings: ExperimentSettings,
) -> tuple[tuple[TrialSpec, ...], dict[tuple[str, int], Task], Recorded]:
    """What can be checked on any machine, without the models and the results folder: trials, tasks,
    and what is to be recorded of
    them. Raises UserError in one sentence.
    """
    trials = trial_specs(settings)
    for trial in trials:
        if trial.point is not None:
            plan_of(settings, trial)
    tasks = {
        (task.label, seed): load(task, settings.sizes_of(task), seed)
        for task in settings.tasks
        for seed in settings.seeds
    }
    _check_test_budget(settings, tasks)
    hashes = {
        task.label: {seed: tasks[task.label, seed].data_hash for seed in settings.seeds}
        for task in settings.tasks
    }
    check_data(settings.recorded, hashes)
    return trials, tasks, Recorded(versions=versions(), data=hashes)


def load(task: TaskSettings, sizes: Sizes, seed: int) -> Task:
    """Return the task that settings name, with its splits.

    Raises:
        DataError: Its examples cannot be used.
        StorageError: Its file cannot be read.
    """
    return load_task(
        task.source,
        sizes=sizes,
        seed=seed,
        scorer=task.scorer,
        seed_instruction=task.seed_instruction,
    )


def data_notes(tasks: Mapping[tuple[str, int], Task]) -> tuple[str, ...]:
    """Return what is to be said of the task files that were read, each file once."""
    return tuple(dict.fromkeys(task.data_note for task in tasks.values() if task.data_note))


def versions() -> dict[str, str]:
    """Python, and the packages that decide what a run does."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def make_results_folder(settings: Named) -> Folder:
    """The results folder, made and seen writable. Raises StorageError."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    out = open_folder(settings.out or RESULTS / f"{settings.name}-{stamp}")
    try:
        out.make()
    except StorageError as problem:
        raise StorageError(
            f"The results folder cannot be used: {str(problem).rstrip('.')}; name another with "
            "--out."
        ) from problem
    return out


def settings_place(folder: Folder | str) -> str:
    """Where the settings of the experiment in a results folder stand.

    Raises StorageError where there are none.
    """
    out = open_folder(folder)
    if not out.exists(SETTINGS_FILE):
        raise StorageError(
            f"{out} has no {SETTINGS_FILE}, so there is nothing to continue; name the results "
            "folder of a run (its --out)."
        )
    return out.place_of(SETTINGS_FILE)


def write_settings(settings: BaseModel, out: Folder) -> None:
    """The full settings, re-runnable: `promptray run OUT/settings.yaml` continues or repeats this
    experiment.
    """
    out.write(SETTINGS_FILE, as_yaml(settings).encode())


def as_yaml(settings: BaseModel) -> str:
    """The text that the settings' own `read` gives them back from."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def models_of(settings: ExperimentSettings) -> tuple[ModelSettings, ...]:
    """Every model that a trial may call, each once."""
    models = (settings.target_model, *optimizers(settings))
    return tuple({model.identity: model for model in models}.values())


def tests_of(experiment: Experiment) -> dict[str, Cost]:
    """Trial -> the least that its final test may cost, which depends on its prompts: that of two
    prompts like the baseline. A
    trial that gets its point later has the same target model and task as its neighbours.
    """
    settings = experiment.settings
    price_list = price_list_of(settings.target_model, "target")
    cost_by_comparison_group = {}
    for comparison_group, task in experiment.tasks.items():
        test = FinalTest(len(task.test), task.test.longest_input_bytes, settings.sampling.build())
        cost_by_comparison_group[comparison_group] = test.cost(task.problem().seed, price_list) * 2
    return {
        trial_spec.trial: cost_by_comparison_group[trial_spec.comparison_group]
        for trial_spec in experiment.trial_specs
    }


def spare_of(experiment: Experiment, test_by_trial: Mapping[str, Cost]) -> Cost:
    """What searches leave alone of the experiment's budget beside the final tests, so that an
    interruption of these costs none of their items, and that their control arms can be paid: as
    many test calls as may be under way at once, and a control arm a task and seed, but no more than
    a tenth of what the tests leave [ours].
    """
    settings, limits = experiment.settings, experiment.settings.budget.total.limits()
    price_list, tests = (
        price_list_of(settings.target_model, "target"),
        Cost.of_all(test_by_trial.values()),
    )
    call = Cost()
    for task in experiment.tasks.values():
        test = FinalTest(1, task.test.longest_input_bytes, settings.sampling.build())
        call = call.at_least(test.cost(task.problem().seed, price_list))
    wanted = call * min(
        settings.target_model.most_at_once(settings.concurrency), tests.target_calls
    )
    wanted += _controls_of(experiment)
    return wanted.at_most(limits.left_by(tests, share=0.1))


def _controls_of(experiment: Experiment) -> Cost:
    """The most that the control arms can cost: trials of one task and seed have one together, as
    the ledger answers the others.
    """
    settings, found = experiment.settings, Cost()
    price_list = price_list_of(settings.target_model, "target")
    for task in experiment.tasks.values():
        line = with_answer_line(task.problem().seed, task.scorer) if settings.form_control else None
        if line is not None:
            test = FinalTest(
                len(task.test), task.test.longest_input_bytes, settings.sampling.build()
            )
            found += test.cost(line, price_list)
    return found


def course_of(settings: ExperimentSettings) -> str:
    """The same for settings with which an experiment takes the same course, and so tests the same
    prompts.
    """
    named = settings.model_dump(
        mode="json",
        exclude={"name", "description", "concurrency", "trials", "out", "recorded", "form_control"},
    )
    return hashlib.sha256(
        json.dumps(named, sort_keys=True).encode("utf-8", "surrogatepass")
    ).hexdigest()[:16]


def _check_test_budget(settings: ExperimentSettings, tasks: Mapping[tuple[str, int], Task]) -> None:
    limit = settings.budget.target_calls
    needed = 2 * max(len(task.test) for task in tasks.values())
    if limit is not None and needed >= limit:
        raise SettingsError(
            f"The final test needs {needed} target calls, which budget.target_calls ({limit}) does "
            "not leave room for; "
            "raise it or make sizes.test smaller."
        )


def check_data(recorded: Recorded | None, hashes: Mapping[str, Mapping[int, str]]) -> None:
    for label, hash_by_seed in (recorded.data if recorded else {}).items():
        for seed, expected in hash_by_seed.items():
            if hashes.get(label, {}).get(seed, expected) != expected:
                raise DataError(
                    f"The data of task {label!r} is not what these settings were recorded with; "
                    "bring the old data back, or take 'recorded' out of the settings to accept the "
                    "new."
                )


def differing_versions(recorded: Recorded | None, now: Mapping[str, str]) -> tuple[str, ...]:
    before = recorded.versions if recorded else {}
    return tuple(
        f"Recorded with {name} {version}, running with {now[name]}."
        for name, version in before.items()
        if now.get(name, version) != version
    )
