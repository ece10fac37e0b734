"""Run a prepared experiment on Ray: models on Serve, one ledger, a Tune trial for each trial.

The state of a run is its ledger and, with a search, its decisions. Running the same settings into
the same folder again takes the same course and pays only for what is missing, so there are no
checkpoints: a run that was cut is continued by repeating it.
"""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.tune import ProgressReporter, Stopper, TuneError

from cluster.config.experiment import ExperimentSettings
from cluster.experiment import late_tests
from cluster.experiment.callbacks import Collector, ProgressListener
from cluster.experiment.prepare import (
    Experiment,
    course_of,
    models_of,
    spare_of,
    tests_of,
    write_settings,
)
from cluster.experiment.resources import cpus_of_a_trial
from cluster.experiment.trainable import OwnersDay, Shared, run_in_worker
from cluster.experiment.tune_adapters import GroupScheduler, proposals
from cluster.own_code.code_files import code_in_use
from cluster.ray_runtime.hosting import host_models
from cluster.ray_runtime.session import ray_session
from cluster.search.decisions import Decisions
from cluster.search.schedulers import Unscheduled
from cluster.trial.result import TrialResult
from optimizer.errors import PromptrayError, shortened
from serving.budget import BudgetClient, open_budget
from serving.concurrency.gate_actor import endpoint_actors
from serving.ledger.actor import open_ledger
from serving.runtime.session_functions import functions_in_use


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or a job that was cancelled.

    `results` are those of all trials: finished ones as they are, the others as "stopped" or
    "cancelled", with the best that they had found. It is empty where nothing of an earlier run was
    touched yet.
    """

    def __init__(self, results: tuple[TrialResult, ...]) -> None:
        super().__init__()
        self.results = results


class BrokenOff(Exception):
    """The run as a whole could not continue, because of `problem`.

    `results` are as those of Interrupted; the trials that were cut have failed.
    """

    def __init__(self, problem: Exception, results: tuple[TrialResult, ...]) -> None:
        super().__init__(problem, results)
        self.problem = problem
        self.results = results


@dataclass(frozen=True)
class RunContext:
    """What an experiment runs in.

    By default it is a Ray of its own, or one that it finds, until Ctrl-C.
    """

    session: Callable[[], AbstractContextManager[None]] = ray_session
    """Provides Ray while the experiment runs."""
    at_once: int = 1
    """Experiments that run beside each other on this cluster, and leave each other room for their
    trials.
    """
    group: tuple[str, ...] | None = None
    """Group of its trials in the fair share of the models' slots with other experiments (see
    serving.concurrency.fair_share), the widest group first; None: hosted models are called as if it
    were alone.
    """
    owner: OwnersDay | None = None
    """Who pays beside the experiment's own budget; None: nobody else."""
    lasting: bool = False
    """Whether this process lives on for other experiments: then the actors of this one are ended
    with it.
    """
    stop: Callable[[], bool] = lambda: False
    """Called several times a second: returns whether the experiment is to stop, where no Ctrl-C
    comes.
    """


def run_experiment(
    experiment: Experiment, watch: ProgressListener, context: RunContext = RunContext()
) -> tuple[TrialResult, ...]:
    """Run every trial, and return one result for each, in their order.

    Each result is in OUT/trials/TRIAL.json as soon as its trial ends.

    Args:
        experiment: The prepared experiment.
        watch: Shows the run.
        context: What it runs in.

    Raises:
        Interrupted: Ctrl-C, or the context stopped it before its end.
        EndpointError: A model cannot be hosted.
        StorageError: The folder cannot be used.
        BrokenOff: Anything else that ends the run once it has the folder.
    """
    collected = Collector(experiment, watch)
    stopping = _Stopping(context.stop)
    try:
        watch.phase("Starting Ray")
        with context.session():
            _run_trials(experiment, collected, watch, context, stopping)
    except KeyboardInterrupt as stop:
        raise Interrupted(collected.close("stopped")) from stop
    except Exception as problem:
        # Nothing of this run is in the folder: what an earlier one has left stays.
        if not collected.begun:
            raise
        reason = (
            str(problem)
            if isinstance(problem, PromptrayError)
            else f"The run broke off ({shortened(repr(problem))})."
        )
        raise BrokenOff(problem, collected.close("failed", reason)) from problem
    if stopping.begun:
        raise Interrupted(collected.close("cancelled"))
    return collected.close(
        "failed", "The trial ended without a result; the same command continues where it ended."
    )


def _run_trials(
    experiment: Experiment,
    collected: Collector,
    watch: ProgressListener,
    context: RunContext,
    stopping: "_Stopping",
) -> None:
    settings = experiment.settings
    hosted = host_models(models_of(settings), watch.phase)
    watch.phase(f"Running {len(experiment.trial_specs)} trials, {settings.concurrency} at once")
    logs = experiment.out / "tune"
    # The most that they may ever hold: trials must fit beside models that scale up later.
    held_cpus = sum(model.cpus * model.scaling.max for model in hosted)
    try:
        with _shared(experiment, collected, context) as shared:
            cpus = settings.trials.cpus or cpus_of_a_trial(
                _cpus_by_node(), held_cpus, settings.concurrency * context.at_once
            )
            _tuner(experiment, collected, str(logs.absolute()), cpus, shared, stopping).fit()
            if stopping.begun:
                _test_late(experiment, collected, watch, shared, cpus)
    except TuneError as failure:
        raise cause_of(failure) from None
    finally:
        # After a crash Tune's folder holds the traceback, which the message names.
        if not collected.crashed:
            logs.remove()
        if collected.staging:
            shutil.rmtree(collected.staging, ignore_errors=True)


def _test_late(
    experiment: Experiment,
    collected: Collector,
    watch: ProgressListener,
    shared: Shared,
    cpus: float,
) -> None:
    """Test what a cancelled job has found, where that takes nothing from a resumed run."""
    cut = late_tests.to_test(collected.close("cancelled"))
    if cut and late_tests.affordable(shared):
        watch.phase("Testing the best prompts so far")
        for result, items in late_tests.run_late(
            experiment, cut, collected.trial_spec_by_trial, shared, cpus
        ):
            collected.replace(result, items)


def cause_of(failure: TuneError) -> Exception:
    """Return our own error in the failure of Tune, such as an unwritable folder; else `failure`."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, PromptrayError):
            return cause
        # Tune raises its own errors from ours, with and without "from".
        cause = cause.__cause__ or cause.__context__
    return failure


def _tuner(
    experiment: Experiment,
    collected: Collector,
    logs: str,
    cpus: float,
    shared: Shared,
    stopping: "_Stopping",
) -> tune.Tuner:
    settings = experiment.settings
    trainable = tune.with_parameters(
        run_in_worker, settings=settings, tasks=dict(experiment.tasks), shared=shared
    )
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": cpus}),
        tune_config=tune.TuneConfig(
            search_alg=proposals(settings, experiment.trial_specs, experiment.decisions),
            num_samples=len(experiment.trial_specs),
            scheduler=_scheduler(settings, experiment.decisions),
            max_concurrent_trials=settings.concurrency,
            # A new process for each trial would import again what the last one has.
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            # A new name each time: Tune would take an old folder for a run to restore.
            name=f"trials-{uuid.uuid4().hex[:8]}",
            storage_path=logs,
            callbacks=[collected],
            verbose=0,
            progress_reporter=_Silent(),
            stop=stopping,
            failure_config=tune.FailureConfig(max_failures=settings.trials.attempts - 1),
        ),
    )


@contextmanager
def _shared(experiment: Experiment, collected: Collector, context: RunContext) -> Iterator[Shared]:
    """Yield what the trials share while they run: ledger, endpoints' limits, common budget."""
    settings = experiment.settings
    endpoints = [model.endpoint for model in models_of(settings) if model.endpoint is not None]
    remote = open_ledger(experiment.out / "ledger")
    try:
        with endpoint_actors(endpoints), remote as ledger:
            collected.begin()  # now that no other run has the folder
            write_settings(settings, experiment.out)
            collected.noticed(remote.damage)
            collected.shared_budget = _shared_budget(experiment)
            yield Shared(
                ledger,
                collected.shared_budget,
                settings.budget.total.wall_s,
                context.group,
                context.owner,
                code_in_use(),
                functions_in_use(),
            )
            if collected.shared_budget:
                collected.shared_budget.stop()
    finally:
        if context.lasting:
            # A worker of a service lives on, and so would the actors that it opened.
            remote.end()
            if collected.shared_budget:
                collected.shared_budget.end()


def _shared_budget(experiment: Experiment) -> BudgetClient | None:
    """Open the common budget; None where neither the experiment nor its trials' time has limits."""
    budget = experiment.settings.budget
    limits, seconds = (
        budget.total.limits(),
        {"budget.wall_s": budget.wall_s, "budget.total.wall_s": budget.total.wall_s},
    )
    if not limits.bounded and not any(seconds.values()):
        return None
    tests = tests_of(experiment) if limits.bounded else {}
    return open_budget(
        experiment.out,
        limits,
        tests,
        seconds,
        spare=spare_of(experiment, tests),
        course=course_of(experiment.settings),
    )


def _scheduler(settings: ExperimentSettings, decisions: Decisions) -> GroupScheduler | None:
    scheduler = settings.search.scheduler.build() if settings.search else None
    return (
        None
        if scheduler is None or isinstance(scheduler, Unscheduled)
        else GroupScheduler(scheduler.build, decisions)
    )


def _cpus_by_node() -> list[float]:
    return [float(node["Resources"].get("CPU", 0.0)) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


class _Stopping(Stopper):
    """Ends all trials when the experiment is to stop: each finds out at its next report."""

    def __init__(self, requested: Callable[[], bool]) -> None:
        self._requested = requested
        self.begun = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Return whether all trials are to end."""
        self.begun = self.begun or self._requested()
        return self.begun

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles it for a restore that we never request."""
        return {}


class _Silent(ProgressReporter):
    """A reporter in place of Tune's own tables, which prints nothing."""

    def should_report(self, trials: Any, done: bool = False) -> bool:
        """Return that there is nothing to report."""
        return False

    def report(self, trials: Any, done: bool, *sys_info: str) -> None:
        """Do nothing."""
        return None
