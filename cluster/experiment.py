"""Runs a prepared experiment on Ray: models on Serve, one ledger, and a Tune trial for every plan.

The state of a run is its ledger. Running the same settings into the same folder again takes the same course and pays only for what
is missing, so there are no checkpoints: a run that was cut is continued by repeating it.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import tune
from ray.tune import ProgressReporter

from cluster.preparation import Experiment
from cluster.ray_session import ray_session
from cluster.report import write_trial
from cluster.result import Status, TrialResult
from cluster.trial import Progress, without_result
from cluster.worker import RESULT_KEY, run_in_worker
from optimizer.errors import StorageError
from serving.deployment import host
from serving.ledger_actor import open_ledger
from serving.settings import OpenAISettings

ATTEMPTS_AFTER_CRASH = 1
"""A worker process that dies is replaced this often; its trial starts again and is answered by the ledger."""


class Watcher(Protocol):
    """Whoever shows the run to people. Called in the driver, from one thread."""

    def phase(self, text: str) -> None: ...
    def started(self, trial: str) -> None: ...
    def progressed(self, trial: str, progress: Progress) -> None: ...
    def ended(self, result: TrialResult) -> None: ...


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. `results` are all trials': finished ones as they are, the others as "stopped"."""

    def __init__(self, results: tuple[TrialResult, ...]) -> None:
        super().__init__()
        self.results = results


def run_experiment(experiment: Experiment, watch: Watcher) -> tuple[TrialResult, ...]:
    """Runs every plan; one result a plan, in the plans' order, whatever became of it.

    Each result stands in OUT/trials/TRIAL.json as soon as its trial ends. Raises Interrupted on Ctrl-C, EndpointError where a model
    cannot be hosted, StorageError where the folder cannot be written.
    """
    collected = _Collector(experiment, watch)
    try:
        watch.phase("Starting Ray")
        with ray_session():
            _run_trials(experiment, collected, watch)
    except KeyboardInterrupt as stop:
        raise Interrupted(collected.results("stopped")) from stop
    return collected.results("failed")


def _run_trials(experiment: Experiment, collected: "_Collector", watch: Watcher) -> None:
    settings = experiment.settings
    served = [model for model in (settings.target_model, settings.optimizer_model) if not isinstance(model, OpenAISettings)]
    if served:
        watch.phase(f"Hosting {' and '.join(model.label for model in served)}")
        host(served)
    ledger = open_ledger(experiment.out / "ledger")
    watch.phase(f"Running {len(experiment.plans)} trials, {settings.concurrency} at once")
    plan_by_id = {plan.id: plan for plan in experiment.plans}
    trainable = tune.with_parameters(run_in_worker, plans=plan_by_id, tasks=dict(experiment.tasks), ledger=ledger)
    logs = experiment.out / "tune"
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": _cpus_of_a_trial(settings.concurrency)}),
        param_space={"trial": tune.grid_search(list(plan_by_id))},
        tune_config=tune.TuneConfig(max_concurrent_trials=settings.concurrency, reuse_actors=True),
        run_config=tune.RunConfig(
            name="trials", storage_path=str(logs.absolute()), callbacks=[collected], verbose=0, progress_reporter=_Silent(),
            failure_config=tune.FailureConfig(max_failures=ATTEMPTS_AFTER_CRASH)),
    )
    try:
        tuner.fit()
    finally:
        if not collected.crashed:
            shutil.rmtree(logs, ignore_errors=True)


def _cpus_of_a_trial(concurrency: int) -> float:
    """A trial waits for models nearly all the time: as many as were asked for must fit, whatever the cluster has."""
    cpus: float = ray.cluster_resources().get("CPU", 1.0)  # type: ignore[no-untyped-call]
    return round(min(1.0, cpus / concurrency), 3)


class _Silent(ProgressReporter):
    """In place of Tune's own tables."""

    def should_report(self, trials: Any, done: bool = False) -> bool:
        return False

    def report(self, trials: Any, done: bool, *sys_info: str) -> None:
        return None


class _Collector(tune.Callback):
    """Takes what the trials report: writes results to disk, tells the watcher."""

    def __init__(self, experiment: Experiment, watch: Watcher) -> None:
        self._experiment = experiment
        self._watch = watch
        self._result_by_trial: dict[str, TrialResult] = {}
        self.crashed = False
        """Did a trial's process fail in a way that none of our errors describes? Then Tune's logs are worth keeping."""
        _clear(experiment.out / "trials")

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks for a restore that we never ask for; the watcher and its console stay here."""
        return {}

    def results(self, missing: Status) -> tuple[TrialResult, ...]:
        """One a plan; `missing` is the status of those that did not report."""
        return tuple(
            self._result_by_trial.get(plan.id) or without_result(plan, missing)
            for plan in self._experiment.plans)

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._watch.started(trial.config["trial"])

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any) -> None:
        if RESULT_KEY in result:
            self._keep(TrialResult.from_json(json.loads(result[RESULT_KEY])))
        else:
            progress = Progress(**{field.name: result[field.name] for field in fields(Progress)})
            self._watch.progressed(trial.config["trial"], progress)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A crash that is not one of our errors: its traceback stays in OUT/tune."""
        plan = next(plan for plan in self._experiment.plans if plan.id == trial.config["trial"])
        self.crashed = True
        cause = _last_line(trial.error_file)
        error = f"The trial's process failed ({cause}); the traceback is in {self._experiment.out / 'tune'}."
        self._keep(without_result(plan, "failed", error))

    def _keep(self, result: TrialResult) -> None:
        self._result_by_trial[result.trial] = result
        write_trial(self._experiment.out, result)
        self._watch.ended(result)


def _clear(folder: Path) -> None:
    """Results of an earlier run into the same folder would be taken for this one's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.json"):
            old.unlink()
    except OSError as problem:
        raise StorageError(f"The folder {folder} cannot be written ({problem.strerror}).") from problem


def _last_line(file: str | None) -> str:
    if not file or not Path(file).is_file():
        return "no cause is known"
    lines = [line.strip() for line in Path(file).read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no cause is known"
