"""What the driver takes of the trials while they run: results to disk, news to the watcher, gauges
to Ray's metrics.

A Tune callback. Knows the results folder and the reports of workers (see
cluster/search/metric_names.py); starts and stops nothing.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol, get_args

from ray import tune

from cluster.experiment.metrics import set_gauge
from cluster.experiment.partial_results import SoFar
from cluster.experiment.planning import TrialSpec, plan_of
from cluster.experiment.prepare import Experiment
from cluster.results import write_trial
from cluster.search.metric_names import RESULT, SO_FAR
from cluster.trial.plan import Progress, without_result
from cluster.trial.result import Status, TrialResult
from serving.budget import BudgetClient


class Watcher(Protocol):
    """Whoever shows the run to people. Called in the driver, from one thread."""

    def phase(self, text: str) -> None: ...
    def noticed(self, text: str) -> None:
        """Something is wrong that does not end the run: a whole sentence, to be seen at its end
        too.
        """

    def started(self, trial: str) -> None: ...
    def progressed(self, trial: str, progress: Progress) -> None: ...
    def rounded(self, trial: str, so_far: str) -> None:
        """A round has ended; `so_far` is what the trial's result would be if it ended here, as JSON
        text.
        """

    def ended(self, result: TrialResult) -> None: ...


class Collector(tune.Callback):
    """Takes what the trials report.

    Raises StorageError where the results folder cannot be written.
    """

    def __init__(self, experiment: Experiment, watch: Watcher) -> None:
        self._experiment = experiment
        self._watch = watch
        self._trial_spec_by_trial = {
            trial_spec.trial: trial_spec for trial_spec in experiment.trial_specs
        }
        self._result_by_trial: dict[str, TrialResult] = {}
        self._so_far = SoFar(experiment)
        self._gauges = _Gauges(experiment.settings.name, len(experiment.trial_specs))
        self.shared_budget: BudgetClient | None = None
        """Where the experiment as a whole has limits: to be told of trials that end without saying
        so.
        """
        self.crashed = False
        """Did a trial's process fail in a way that none of our errors describes? Then Tune's logs
        are worth keeping.
        """
        self.staging: Path | None = None
        """Where Tune keeps what it is about to write to OUT/tune, on this machine, and leaves it.
        """

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks for a restore that we never ask for; the watcher and its
        console stay here.
        """
        return {}

    def noticed(self, sentences: Iterable[str]) -> None:
        """What is wrong and does not end the run."""
        for sentence in sentences:
            self._watch.noticed(sentence)

    def begin(self) -> None:
        """To be called when the folder is this run's, before a trial starts."""
        self._so_far.begin()

    @property
    def begun(self) -> bool:
        return self._so_far.begun

    def close(self, cut: Status, error: str = "") -> tuple[TrialResult, ...]:
        """The run is over: one result a trial, each in OUT/trials.

        Those that did not come to their end have the status `cut`, and what they had found. A trial
        that was never given a point has none. Nothing is written, and there is nothing to show,
        where the run ended before it touched what an earlier one has left.
        """
        if self._so_far.untouched:
            return ()
        for trial, trial_spec in self._trial_spec_by_trial.items():
            if trial not in self._result_by_trial and (result := self._cut(trial_spec, cut, error)):
                self._result_by_trial[trial] = result
                self._write(result)
        self._so_far.close()
        return tuple(
            self._result_by_trial[trial]
            for trial in self._trial_spec_by_trial
            if trial in self._result_by_trial
        )

    @property
    def trial_spec_by_trial(self) -> Mapping[str, TrialSpec]:
        """With the points that were given since."""
        return self._trial_spec_by_trial

    def replace(self, result: TrialResult) -> None:
        """Takes more of a trial than it had when the run was closed."""
        self._result_by_trial[result.trial] = result
        self._write(result)

    def _cut(self, trial_spec: TrialSpec, status: Status, error: str) -> TrialResult | None:
        if trial_spec.point is None:
            known = self._so_far.found_by(trial_spec.trial)
            return (
                self._so_far.added_to(replace(known, status=status, error=error)) if known else None
            )
        return self._so_far.added_to(self._without_result(trial_spec, status, error))

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        trial_spec = TrialSpec.from_config(trial.config)
        self.staging = Path(trial.storage.experiment_driver_staging_path).parent
        self._trial_spec_by_trial[trial_spec.trial] = trial_spec
        self._watch.started(trial_spec.trial)
        self._gauges.started(trial_spec.trial)

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        if RESULT in result:
            self._keep(TrialResult.from_json(json.loads(result[RESULT])))
        elif SO_FAR in result and result.get("done"):
            self._keep(
                TrialResult.from_json(json.loads(result[SO_FAR]))
            )  # the scheduler has stopped it
            self._close(trial, done=True)
        else:
            trial_spec = TrialSpec.from_config(trial.config)
            progress = Progress(**{field.name: result[field.name] for field in fields(Progress)})
            self._so_far.progressed(trial_spec.trial, progress)
            self._watch.progressed(trial_spec.trial, progress)
            if SO_FAR in result:
                self._watch.rounded(trial_spec.trial, result[SO_FAR])
                self._so_far.rounded(TrialResult.from_json(json.loads(result[SO_FAR])))
            self._gauges.progressed(trial_spec, progress)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A crash that is not one of our errors: its traceback stays in OUT/tune."""
        self.crashed = True
        self._close(trial, done=False)
        cause = _last_line(trial.error_file)
        error = (
            f"The trial's process failed ({cause}); the traceback is in "
            f"{self._experiment.out / 'tune'}."
        )
        self._keep(self._without_result(TrialSpec.from_config(trial.config), "failed", error))

    def _close(self, trial: Any, done: bool) -> None:
        """Its part of the experiment's budget comes free."""
        if self.shared_budget:
            self.shared_budget.close(TrialSpec.from_config(trial.config).trial, done)

    def _without_result(
        self, trial_spec: TrialSpec, status: Status, error: str = ""
    ) -> TrialResult:
        return without_result(plan_of(self._experiment.settings, trial_spec), status, error)

    def _keep(self, result: TrialResult) -> None:
        if result.status == "failed":
            result = self._so_far.added_to(result)
        self._result_by_trial[result.trial] = result
        self._write(result)
        self._watch.ended(result)
        self._gauges.ended(result)

    def _write(self, result: TrialResult) -> None:
        write_trial(self._experiment.out, result)
        self._so_far.ended(result.trial)


class _Gauges:
    """The driver's part of metrics.METRICS."""

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
        calls = sum(progress.target_calls + progress.optimizer_calls for progress in known)
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
