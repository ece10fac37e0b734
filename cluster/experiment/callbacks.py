"""Collect what trials report: results to disk, progress to the watcher, gauges to Ray.

This is a Tune callback in the driver. It knows the results folder and the reports of workers (see
cluster/search/metric_names.py); it starts and stops nothing.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol, get_args

from ray import tune

from cluster.experiment.metrics import set_gauge
from cluster.experiment.partial_results import PartialResults
from cluster.experiment.planning import TrialSpec, plan_of
from cluster.experiment.prepare import Experiment
from cluster.results import write_trial
from cluster.results.items import clear_trial_items, from_text, write_trial_items
from cluster.search.metric_names import ITEMS, RESULT, SO_FAR
from cluster.trial.plan import Progress, without_result
from cluster.trial.result import Status, TrialResult
from serving.budget import BudgetClient


class ProgressListener(Protocol):
    """Shows the run to people. Called in the driver, from one thread."""

    def phase(self, text: str) -> None:
        """Show that a phase of the run has begun, such as "Starting Ray"."""

    def noticed(self, text: str) -> None:
        """Show a sentence on a problem that does not end the run; it stays visible afterwards."""

    def started(self, trial: str) -> None:
        """Show that a trial has started."""

    def progressed(self, trial: str, progress: Progress) -> None:
        """Show how far a trial is."""

    def rounded(self, trial: str, so_far: str) -> None:
        """Take the end of a round; `so_far` is the trial's result if it ended here, in JSON."""

    def ended(self, result: TrialResult) -> None:
        """Show that a trial has ended."""


class Collector(tune.Callback):
    """Collects what the trials report.

    Raises:
        StorageError: The results folder cannot be written.
    """

    def __init__(self, experiment: Experiment, watch: ProgressListener) -> None:
        self._experiment = experiment
        self._watch = watch
        self._trial_spec_by_trial = {
            trial_spec.trial: trial_spec for trial_spec in experiment.trial_specs
        }
        self._result_by_trial: dict[str, TrialResult] = {}
        self._partial_results = PartialResults(experiment)
        self._gauges = _Gauges(experiment.settings.name, len(experiment.trial_specs))
        self.shared_budget: BudgetClient | None = None
        """Where the experiment as a whole has limits: gets the ends of trials that do not report
        them.
        """
        self.crashed = False
        """Whether a trial's process has failed in a way that none of our errors describes: then
        Tune's logs are kept.
        """
        self.staging: Path | None = None
        """Folder on this machine where Tune prepares OUT/tune, and which it leaves behind."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its callbacks for a restore that we never request."""
        return {}

    def noticed(self, sentences: Iterable[str]) -> None:
        """Show problems that do not end the run."""
        for sentence in sentences:
            self._watch.noticed(sentence)

    def begin(self) -> None:
        """Clear what an earlier run has left; to be called once the folder is locked."""
        self._partial_results.begin()

    @property
    def begun(self) -> bool:
        """Return whether `begin` was called."""
        return self._partial_results.begun

    def close(self, cut: Status, error: str = "") -> tuple[TrialResult, ...]:
        """End the run: return one result for each trial, each written to OUT/trials.

        Trials that did not run to their end have the status `cut`, and what they had found. A trial
        that was never given a point has none. Nothing is written or returned where the run ended
        before it touched what an earlier one has left.
        """
        if self._partial_results.untouched:
            return ()
        for trial, trial_spec in self._trial_spec_by_trial.items():
            if trial not in self._result_by_trial and (result := self._cut(trial_spec, cut, error)):
                self._result_by_trial[trial] = result
                self._write(result)
        self._partial_results.close()
        return tuple(
            self._result_by_trial[trial]
            for trial in self._trial_spec_by_trial
            if trial in self._result_by_trial
        )

    @property
    def trial_spec_by_trial(self) -> Mapping[str, TrialSpec]:
        """Return the trials with the points that they were given since."""
        return self._trial_spec_by_trial

    def replace(self, result: TrialResult, items: bytes) -> None:
        """Replace a trial's result by one with more in it, after the run was closed."""
        self._result_by_trial[result.trial] = result
        if items:
            write_trial_items(self._experiment.out, result.trial, items)
        self._write(result)

    def _cut(self, trial_spec: TrialSpec, status: Status, error: str) -> TrialResult | None:
        if trial_spec.point is None:
            known = self._partial_results.found_by(trial_spec.trial)
            return (
                self._partial_results.added_to(replace(known, status=status, error=error))
                if known
                else None
            )
        return self._partial_results.added_to(self._without_result(trial_spec, status, error))

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Take a trial's start from Tune."""
        trial_spec = TrialSpec.from_config(trial.config)
        self.staging = Path(trial.storage.experiment_driver_staging_path).parent
        self._trial_spec_by_trial[trial_spec.trial] = trial_spec
        self._watch.started(trial_spec.trial)
        self._gauges.started(trial_spec.trial)

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        """Take a trial's report from Tune."""
        if RESULT in result:
            trial_id = TrialSpec.from_config(trial.config).trial
            if ITEMS in result:  # before the result, which says that they are there
                write_trial_items(self._experiment.out, trial_id, from_text(result[ITEMS]))
            else:
                clear_trial_items(self._experiment.out, trial_id)
            self._finish(TrialResult.from_json(json.loads(result[RESULT])))
        elif SO_FAR in result and result.get("done"):
            # The scheduler has stopped the trial.
            self._finish(TrialResult.from_json(json.loads(result[SO_FAR])))
            self._close(trial, done=True)
        else:
            trial_spec = TrialSpec.from_config(trial.config)
            progress = Progress(**{field.name: result[field.name] for field in fields(Progress)})
            self._partial_results.progressed(trial_spec.trial, progress)
            self._watch.progressed(trial_spec.trial, progress)
            if SO_FAR in result:
                self._watch.rounded(trial_spec.trial, result[SO_FAR])
                self._partial_results.rounded(TrialResult.from_json(json.loads(result[SO_FAR])))
            self._gauges.progressed(trial_spec, progress)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Take a crash that is not one of our errors: its traceback stays in OUT/tune."""
        self.crashed = True
        self._close(trial, done=False)
        cause = _last_line(trial.error_file)
        error = (
            f"The trial's process failed ({cause}); the traceback is in "
            f"{self._experiment.out / 'tune'}."
        )
        self._finish(self._without_result(TrialSpec.from_config(trial.config), "failed", error))

    def _close(self, trial: Any, done: bool) -> None:
        """Release the trial's part of the experiment's budget."""
        if self.shared_budget:
            self.shared_budget.close(TrialSpec.from_config(trial.config).trial, done)

    def _without_result(
        self, trial_spec: TrialSpec, status: Status, error: str = ""
    ) -> TrialResult:
        return without_result(plan_of(self._experiment.settings, trial_spec), status, error)

    def _finish(self, result: TrialResult) -> None:
        if result.status == "failed":
            result = self._partial_results.added_to(result)
        self._result_by_trial[result.trial] = result
        self._write(result)
        self._watch.ended(result)
        self._gauges.ended(result)

    def _write(self, result: TrialResult) -> None:
        write_trial(self._experiment.out, result)
        self._partial_results.ended(result.trial)


class _Gauges:
    """Sets the driver's part of metrics.METRICS."""

    def __init__(self, experiment: str, trials: int) -> None:
        self._experiment = experiment
        self._waiting = trials
        self._state_by_trial: dict[str, str] = {}
        self._best: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._progress_by_trial: dict[str, tuple[str, Progress]] = {}

    def started(self, trial: str) -> None:
        self._state_by_trial[trial] = "running"
        self._set_trials()

    def progressed(self, trial_spec: TrialSpec, progress: Progress) -> None:
        assert trial_spec.point is not None
        self._spent(trial_spec.trial, trial_spec.task, progress)
        self._reached(trial_spec.task, str(trial_spec.point["strategy"]), progress.dev_accuracy)

    def ended(self, result: TrialResult) -> None:
        self._state_by_trial[result.trial] = result.status
        self._set_trials()
        self._reached(result.task, result.strategy, result.dev_accuracy)

    def _set_trials(self) -> None:
        count_by_state = Counter(self._state_by_trial.values())
        count_by_state["waiting"] = self._waiting - len(self._state_by_trial)
        for state in ("waiting", "running", *get_args(Status)):
            set_gauge(
                "promptray_trials", count_by_state[state], experiment=self._experiment, status=state
            )

    def _reached(self, task: str, strategy: str, accuracy: float | None) -> None:
        if accuracy is None:
            return
        self._best[task, strategy] = max(self._best[task, strategy], accuracy)
        set_gauge(
            "promptray_best_dev_accuracy",
            self._best[task, strategy],
            experiment=self._experiment,
            task=task,
            strategy=strategy,
        )

    def _spent(self, trial: str, task: str, progress: Progress) -> None:
        self._progress_by_trial[trial] = (task, progress)
        known = [progress for _, progress in self._progress_by_trial.values()]
        calls = sum(
            progress.target_calls + progress.optimizer_calls + progress.grader_calls
            for progress in known
        )
        hits = sum(progress.ledger_hits for progress in known)
        set_gauge(
            "promptray_ledger_hit_share",
            hits / calls if calls else 0.0,
            experiment=self._experiment,
        )
        rates = [
            progress.prefix_hit_rate
            for own, progress in self._progress_by_trial.values()
            if own == task and progress.prefix_hit_rate is not None
        ]
        if rates:
            set_gauge(
                "promptray_prefix_hit_rate",
                sum(rates) / len(rates),
                experiment=self._experiment,
                task=task,
            )


def _last_line(file: str | None) -> str:
    if not file or not Path(file).is_file():
        return "no cause is known"
    lines = [
        line.strip()
        for line in Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    return lines[-1] if lines else "no cause is known"
