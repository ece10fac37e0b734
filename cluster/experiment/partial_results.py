"""Keep what unfinished trials have found, so that a run that is cut or killed loses nothing.

The end of each round is stored in OUT/unfinished/TRIAL.json until the trial has ended. What the
last run of the same experiment has found counts as well: a run that repeats it, and is cut before
it has come as far, loses none of it. It is never part of what a trial that ends by itself reports.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import plan_of, trial_specs
from cluster.experiment.prepare import SETTINGS_FILE, Experiment, course_of
from cluster.results import (
    clear_trials,
    clear_unfinished,
    read_trials,
    read_unfinished,
    trial_if_read,
    write_results,
    write_unfinished,
)
from cluster.results.folder import UNFINISHED
from cluster.trial.plan import Progress, without_result
from cluster.trial.result import ENDED, Status, TrialResult
from optimizer.errors import StorageError, UserError
from serving.storage import Folder


class PartialResults:
    """The unfinished results of one run, in its driver.

    Call `begin` when the folder is locked, before its settings are written.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._out = experiment.out
        self._same = _recorded_course(experiment.out) == course_of(experiment.settings)
        self._hash_by_trial = {
            trial_spec.trial: experiment.tasks[trial_spec.comparison_group].data_hash
            for trial_spec in experiment.trial_specs
        }
        self._known: dict[str, TrialResult] = {}
        self._progress: dict[str, Progress] = {}
        self.begun = False

    def begin(self) -> None:
        """Clear away the last run's results, which would be taken for this run's.

        Raises:
            StorageError: The folder cannot be used.
        """
        for trial in self._hash_by_trial if self._same else ():
            if (
                (found := trial_if_read(self._out, trial))
                and found.rounds
                and found.data_hash == self._hash_by_trial[trial]
            ):
                self._known[trial] = found
                write_unfinished(self._out, found)
        for left in read_unfinished(self._out):
            if left.trial not in self._known:
                clear_unfinished(self._out, left.trial)
        clear_trials(self._out)
        self.begun = True

    @property
    def untouched(self) -> bool:
        """Return whether there are results of an earlier run that this one has not changed yet."""
        return not self.begun and bool((self._out / "trials").names(".json"))

    def progressed(self, trial: str, progress: Progress) -> None:
        """Take what a trial has spent up to now."""
        self._progress[trial] = progress

    def rounded(self, result: TrialResult) -> None:
        """Take the end of a round; one that cannot be written is held in memory only."""
        known = self._known.get(result.trial)
        # A repeated run begins at round 0: until it has caught up, the earlier result is the better
        # one.
        if known is None or (known.status not in ENDED and len(result.rounds) >= len(known.rounds)):
            self._known[result.trial] = left = replace(result, status="stopped")
            # A folder that is away ends the run where a trial's result is written.
            with suppress(StorageError):
                write_unfinished(self._out, left)

    def ended(self, trial: str) -> None:
        """Delete the unfinished result of a trial whose result is written.

        Raises:
            StorageError: The file cannot be deleted.
        """
        self._known.pop(trial, None)
        clear_unfinished(self._out, trial)

    def close(self) -> None:
        """Delete the folder: everything in it is among the results."""
        (self._out / UNFINISHED).remove()

    def found_by(self, trial: str) -> TrialResult | None:
        """Return the most that is known of a trial; None where nothing is."""
        return self._known.get(trial)

    def added_to(self, result: TrialResult) -> TrialResult:
        """Return the result of a trial that was cut or has failed, with all that it had found.

        A trial that an earlier run brought to its end keeps that result, unless this run reports a
        failure.

        Args:
            result: What is known of the trial's end.
        """
        known = self._known.get(result.trial)
        # Its test was paid for: a run that was cut before it came so far again does not undo it.
        if known and known.status in ENDED and result.status != "failed":
            return known
        if known and len(known.rounds) > len(result.rounds):
            result = replace(
                known,
                status=result.status,
                error=result.error,
                failures=result.failures or known.failures,
            )
        return _with_spent(result, self._progress.get(result.trial))


def leave_results(
    out: Folder, cut: Status, shown: Callable[[ExperimentSettings], Mapping[str, Any]]
) -> None:
    """Write tables, page and best prompts for a process that was killed before it could.

    The next run writes over them. Nothing is written where the run had not begun.

    Args:
        out: The results folder.
        cut: Status of trials that had not run to their end.
        shown: Returns the settings as they are shown on the page.

    Raises:
        StorageError: The folder cannot be used.
        DataError: A result cannot be read.
        SettingsError: The settings cannot be read.
    """
    # The run had not begun: it writes its settings when it has the folder.
    if not out.exists(SETTINGS_FILE):
        return
    settings = ExperimentSettings.view(out.place_of(SETTINGS_FILE))
    known = {result.trial: result for result in (*read_unfinished(out), *read_trials(out))}
    if not known:  # of this run nothing is known; what an earlier one has left stays
        return
    results: list[TrialResult] = []
    for trial_spec in trial_specs(settings):
        if result := known.get(trial_spec.trial):
            results.append(replace(result, status=cut) if result.status == "stopped" else result)
        elif trial_spec.point is not None:
            results.append(without_result(plan_of(settings, trial_spec), cut))
    write_results(out, results, shown(settings))


def _with_spent(result: TrialResult, last: Progress | None) -> TrialResult:
    """Add what was spent after the last round; its purposes are not known."""
    if (
        last is None
        or last.target_calls + last.optimizer_calls <= result.target_calls + result.optimizer_calls
    ):
        return result
    return replace(
        result,
        target_calls=last.target_calls,
        optimizer_calls=last.optimizer_calls,
        grader_calls=last.grader_calls,
        ledger_hits=last.ledger_hits,
        prefix_hit_rate=last.prefix_hit_rate,
    )


def _recorded_course(out: Folder) -> str:
    """Return the course of the settings that the last run has left; "" where none can be read."""
    try:
        if out.exists(SETTINGS_FILE):
            return course_of(ExperimentSettings.view(out.place_of(SETTINGS_FILE)))
    except UserError:
        pass
    return ""
