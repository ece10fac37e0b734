"""Run the final tests of trials that were cancelled with their job, on their best prompts so far.

A person waits for the job to end, and it may be resumed: so the tests have a time limit, and spend
nothing that a resumed run would need.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence

import ray
from ray.exceptions import RayError

from cluster.experiment.planning import TrialSpec
from cluster.experiment.prepare import Experiment
from cluster.experiment.trainable import Shared, late_test_in_worker
from cluster.trial.result import TrialResult

_log = logging.getLogger(__name__)
WITHIN_S = 30.0
"""Seconds for all of them together, of the minute in which a cancelled job is to end [ours]."""


def affordable(shared: Shared) -> bool:
    """Return whether a test takes nothing from a resumed run.

    Limits of the whole experiment, or of its owner, hold over all its runs; a trial's own budget
    has a reserve for the test from the start, and starts again with each run.
    """
    return shared.shared_budget is None and shared.owner is None


def to_test(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials that were cancelled with a better prompt than the baseline.

    A finished one was tested already.
    """
    return [
        result
        for result in results
        if result.status == "cancelled"
        and not result.test_marks
        and result.best is not None
        and result.best.prompt != result.seed_prompt
    ]


def run_late(
    experiment: Experiment,
    results: Sequence[TrialResult],
    trial_spec_by_trial: Mapping[str, TrialSpec],
    shared: Shared,
    cpus: float,
    within_s: float = WITHIN_S,
) -> Iterator[tuple[TrialResult, bytes]]:
    """Yield those of `results` that could be tested in time, with their tests and items.

    Args:
        experiment: The experiment.
        results: Results of cut trials.
        trial_spec_by_trial: The trials with their points.
        shared: What its trials share.
        cpus: CPUs of Ray that a test holds.
        within_s: Seconds for all tests together.
    """
    worker = ray.remote(num_cpus=cpus, max_retries=0, max_calls=1)(late_test_in_worker)
    begun = []
    for result in results:
        trial_spec = trial_spec_by_trial[result.trial]
        task = experiment.tasks[trial_spec.comparison_group]
        begun.append(worker.remote(result, trial_spec, experiment.settings, task, shared))
    done, late = ray.wait(begun, num_returns=len(begun), timeout=within_s) if begun else ([], [])
    for task_of_ray in late:
        _log.warning(
            "A cancelled trial stays untested: its test had not ended within %g s.", within_s
        )
        ray.cancel(task_of_ray, force=True)
    for task_of_ray in done:
        try:
            yield ray.get(task_of_ray, timeout=within_s)
        # Its process was lost, or broke on an error of ours: it stays untested, which is logged.
        except RayError as problem:
            _log.warning(
                "A cancelled trial stays untested: %s: %s", type(problem).__name__, problem
            )
