"""Check what can be checked before a trial starts: data, splits, results folder, models.

This turns settings into an `Experiment`: trials and tasks that are known to be usable.
"""

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

from cluster.config.builtin_data import expect_made_for
from cluster.config.components import recorded_revisions, revisions
from cluster.config.experiment import ExperimentSettings, Recorded
from cluster.config.grader import judge_model
from cluster.config.task import TaskSettings
from cluster.experiment.planning import TrialSpec, judges, optimizers, plan_of, trial_specs
from cluster.experiment.preflight import check_models, questions_of
from cluster.experiment.search_journal import open_decisions
from cluster.search.decisions import Decisions
from cluster.trial.budget import FinalTest, price_list_of
from cluster.trial.plan import TrialPlan
from optimizer.budget.cost import Cost, PriceList, Role
from optimizer.errors import DataError, SettingsError, StorageError, UserError
from optimizer.graders.graders import with_answer_line
from optimizer.tasks.sizes import SizeRule
from optimizer.tasks.task import Task
from serving.runtime.blocking import run_blocking
from serving.settings import ModelSettings
from serving.storage import Folder, open_folder

RESULTS = Path("results")
SETTINGS_FILE = "settings.yaml"
_PACKAGES = ("promptray", "ray", "openai", "ctranslate2", "tokenizers")
_NO_PART_OF_THE_COURSE = (
    *("name", "description", "concurrency", "trials", "out", "recorded", "form_control"),
    "code",  # where it lies; what it is is recorded
)


class Named(Protocol):
    """Settings, as far as a results folder needs them."""

    @property
    def name(self) -> str:
        """Return the name of the experiment or diagnosis."""

    @property
    def out(self) -> str:
        """Return the results folder; "" for a new one under RESULTS."""


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
    """A sentence for each task file on what was read of it, and what was not."""
    decisions: Decisions = field(default_factory=Decisions)
    """Decisions of its search that were made before; empty without a search."""

    @property
    def plans(self) -> tuple[TrialPlan, ...]:
        """Return the plans of all trials with a point; a searcher may choose some points later."""
        return tuple(
            plan_of(self.settings, trial_spec)
            for trial_spec in self.trial_specs
            if trial_spec.point is not None
        )


def prepare(settings: ExperimentSettings, *, repeated: bool = False) -> Experiment:
    """Check everything that can be checked, and make the results folder.

    A new folder gets its settings.yaml. The settings of a folder that has some are replaced by the
    run, once it holds the ledger: another run may be at work there. Where this raises, nothing was
    started and only the check calls were made.

    Args:
        settings: The experiment.
        repeated: See questions_of.

    Raises:
        UserError: The settings, the data or the results folder is at fault.
        EndpointError: A model does not answer.
    """
    trials, tasks, recorded = check(settings)
    if settings.search:
        settings.search.searcher.build().check()
    notes = differing_versions(settings.recorded, recorded.versions)
    out = make_results_folder(settings)
    names = [trial.trial for trial in trials]
    decisions = open_decisions(out, settings, recorded, names) if settings.search else Decisions()
    run_blocking(lambda: check_models(questions_of(settings, repeated=repeated)))
    settings = settings.completed(out.absolute().place, recorded)
    if not out.exists(SETTINGS_FILE):
        write_settings(settings, out)
    return Experiment(settings, trials, tasks, out, notes, data_notes(tasks), decisions)


def check(
    settings: ExperimentSettings,
) -> tuple[tuple[TrialSpec, ...], dict[tuple[str, int], Task], Recorded]:
    """Check what can be checked on any machine, without the models and the results folder.

    Returns:
        The trials, the tasks by label and seed, and what is to be recorded of them.

    Raises:
        UserError: The settings or the data are at fault.
    """
    trials = trial_specs(settings)
    for trial in trials:
        if trial.point is not None:
            plan_of(settings, trial)
    tasks = load_all(settings)
    if settings.recorded is None:  # what has begun may go on
        expect_made_for(settings.models_for_data(), tasks.values())
    _check_test_budget(settings, tasks)
    hashes = {
        task.label: {seed: tasks[task.label, seed].data_hash for seed in settings.seeds}
        for task in settings.tasks
    }
    check_data(settings.recorded, hashes)
    found = versions() | revisions(settings, tasks.values())
    return trials, tasks, Recorded(versions=found, data=hashes)


def load(task: TaskSettings, sizes: SizeRule, seed: int) -> Task:
    """Return the task that settings name, with its splits.

    Raises:
        DataError: Its examples cannot be used.
        StorageError: Its file cannot be read.
    """
    return task.load(sizes, seed)


def load_all(settings: ExperimentSettings) -> dict[tuple[str, int], Task]:
    """Return every task by its label and seed.

    Raises:
        UserError: Some cannot be used; the faults of all are named.
    """
    tasks: dict[tuple[str, int], Task] = {}
    faults: dict[str, UserError] = {}
    for task in settings.tasks:
        for seed in settings.seeds:
            try:
                tasks[task.label, seed] = load(task, settings.sizes_of(task), seed)
            except UserError as problem:
                faults.setdefault(str(problem), problem)
                break  # with another seed it has the same faults
    if len(faults) > 1:
        raise DataError(" ".join(faults))
    for fault in faults.values():
        raise fault
    return tasks


def data_notes(tasks: Mapping[tuple[str, int], Task]) -> tuple[str, ...]:
    """Return the notes on the task files that were read, each file once."""
    return tuple(dict.fromkeys(task.data_note for task in tasks.values() if task.data_note))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what a run does."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def make_results_folder(settings: Named) -> Folder:
    """Return the results folder, created and writable.

    Raises:
        StorageError: It cannot be used.
    """
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
    """Return the place of the settings in a results folder.

    Raises:
        StorageError: There are none.
    """
    out = open_folder(folder)
    if not out.exists(SETTINGS_FILE):
        raise StorageError(
            f"{out} has no {SETTINGS_FILE}, so there is nothing to continue; name the results "
            "folder of a run (its --out)."
        )
    return out.place_of(SETTINGS_FILE)


def write_settings(settings: BaseModel, out: Folder) -> None:
    """Write the full settings: `promptray run OUT/settings.yaml` continues the experiment."""
    out.write(SETTINGS_FILE, as_yaml(settings).encode())


def as_yaml(settings: BaseModel) -> str:
    """Return the text from which the settings' own `read` makes equal settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def models_of(settings: ExperimentSettings) -> tuple[ModelSettings, ...]:
    """Return every model that a trial may call, each once."""
    models = (settings.target_model, *optimizers(settings), *judges(settings))
    return tuple({model.identity: model for model in models}.values())


def tests_of(experiment: Experiment) -> dict[str, Cost]:
    """Return the least cost of each trial's final test: that of two prompts like the baseline.

    The cost depends on the prompts. A trial that gets its point later has the same target model and
    task as its neighbours.
    """
    settings = experiment.settings
    cost_by_comparison_group = {}
    for comparison_group, task in experiment.tasks.items():
        test = FinalTest.of(task, settings.sampling.build(), settings.target_model)
        half = test.cost(task.seed_prompt, _price_lists(settings, task))
        cost_by_comparison_group[comparison_group] = half * 2
    return {
        trial_spec.trial: cost_by_comparison_group[trial_spec.comparison_group]
        for trial_spec in experiment.trial_specs
    }


def spare_of(experiment: Experiment, test_by_trial: Mapping[str, Cost]) -> Cost:
    """Return what searches leave in the experiment's budget beside the final tests.

    With it, an interrupted test loses none of its items, and control arms can be paid: as many test
    calls as may be in flight at once, and a control arm for each task and seed, but no more than a
    tenth of what the tests leave [ours].
    """
    settings, limits = experiment.settings, experiment.settings.budget.total.limits()
    tests, call = Cost.of_all(test_by_trial.values()), Cost()
    for task in experiment.tasks.values():
        test = FinalTest.of(task, settings.sampling.build(), settings.target_model, items=1)
        call = call.at_least(test.cost(task.seed_prompt, _price_lists(settings, task)))
    wanted = call * min(
        settings.target_model.most_at_once(settings.concurrency), tests.target_calls
    )
    wanted += _controls_of(experiment)
    return wanted.at_most(limits.left_by(tests, share=0.1))


def _controls_of(experiment: Experiment) -> Cost:
    """Return the most that the control arms can cost: one for all trials of a task and seed.

    The ledger answers the others.
    """
    settings, found = experiment.settings, Cost()
    for task in experiment.tasks.values():
        line = (
            with_answer_line(task.seed_prompt, task.grader.build())
            if settings.form_control
            else None
        )
        if line is not None:
            test = FinalTest.of(task, settings.sampling.build(), settings.target_model)
            found += test.cost(line, _price_lists(settings, task))
    return found


def _price_lists(settings: ExperimentSettings, task: Task) -> dict[Role, PriceList]:
    """Return the prices of the models that a final test calls."""
    target = price_list_of(settings.target_model, "target")
    judge = judge_model(task.grader, settings.optimizer_model)
    return {"target": target, **({"grader": price_list_of(judge, "grader")} if judge else {})}


def course_of(settings: ExperimentSettings) -> str:
    """Return a hash that is equal for settings with which an experiment takes the same course.

    It then tests the same prompts.
    """
    named = settings.model_dump(mode="json", exclude=set(_NO_PART_OF_THE_COURSE))
    # Earlier versions knew no sizes that fit the data, and had the usual ones.
    named["sizes"].pop("auto", None)
    for task in named["tasks"]:
        (task["sizes"] or {}).pop("auto", None)
        task.pop("file_name", None)
    # Only where there are any, so that the course of all others is what it always was.
    if revisions := recorded_revisions(settings, settings.recorded or Recorded()):
        named["components"] = revisions
    return hashlib.sha256(
        json.dumps(named, sort_keys=True).encode("utf-8", "surrogatepass")
    ).hexdigest()[:16]


def _check_test_budget(settings: ExperimentSettings, tasks: Mapping[tuple[str, int], Task]) -> None:
    limit = settings.budget.target_calls
    needed = 2 * max(len(task.test) for task in tasks.values())
    if limit is not None and needed >= limit:
        raise SettingsError(
            f"The final test needs {needed} target calls, and budget.target_calls is {limit}; "
            "raise it or reduce sizes.test."
        )


def check_data(recorded: Recorded | None, hashes: Mapping[str, Mapping[int, str]]) -> None:
    """Check that the data has the hashes that were recorded.

    Raises:
        DataError: The data of a task is another.
    """
    for label, hash_by_seed in (recorded.data if recorded else {}).items():
        for seed, expected in hash_by_seed.items():
            if hashes.get(label, {}).get(seed, expected) != expected:
                raise DataError(
                    f"The data of task {label!r} is not what these settings were recorded with; "
                    "bring the old data back, or take 'recorded' out of the settings to accept the "
                    "new."
                )


def differing_versions(recorded: Recorded | None, now: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each version that differs from the recorded one."""
    before = recorded.versions if recorded else {}
    return tuple(
        f"Recorded with {name} {version}, running with {now[name]}."
        for name, version in before.items()
        if now.get(name, version) != version
    )
