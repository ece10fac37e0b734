"""A process that runs jobs one after the other, with the code of `promptray run`.

A run is off the main thread and gets no Ctrl-C: a job is stopped by a call. The process reports to
its controller what happens, and waits at the end until all reports have arrived. Whatever belongs
to this process dies with its controller.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayTaskError

from cluster.experiment.prepare import models_of, tests_of
from cluster.ray_runtime.hosting import in_replicas
from cluster.ray_runtime.session import ENVIRONMENT
from cluster.service.access.owner_budgets import as_calls
from cluster.service.access.spenders import JobShare
from cluster.service.core.settings import ServiceSettings
from cluster.service.core.worker_pool import Outcome, Work
from cluster.service.schemas import EvaluationRequest, OptimizationRequest
from cluster.service.stores.job_store import Store
from optimizer.budget.cost import Cost
from optimizer.errors import PromptrayError, StorageError
from serving.hosting.deployment import deployment_name
from serving.runtime.actors import actor_error
from serving.settings import ModelSettings
from serving.storage import Folder

CONFIRMED_WITHIN_S = 300.0
"""Seconds to wait for the controller, which may be starting again after a crash [ours]."""
MOST_UNCONFIRMED = 200
"""Reports that may be under way at once."""


class Worker:
    """The actor that runs jobs: `run` is in one thread, `stop` in another."""

    def __init__(self, service: ServiceSettings) -> None:
        """Take over the environment of the Ray session."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._service = service
        service.components.import_all()
        self._stopped: set[tuple[str, int]] = set()

    def warm(self) -> int:
        """Return the number of the process, once it has started."""
        return os.getpid()

    def alive(self) -> bool:
        """Return True, as a sign of life while a job runs in another thread."""
        return True

    def stop(self, job: str, run: int) -> None:
        """End this run of the job soon, even if it has not begun yet."""
        # By run: a stop that arrives late must not end the next run of a job that was resumed.
        self._stopped.add((job, run))

    def run(self, work: Work, controller: Any) -> Outcome:
        """Run the job to its end.

        Args:
            work: The run.
            controller: The handle of the controller's actor, which the run reports to.

        Returns:
            How the run ended; an error of the job is an outcome too.
        """
        link = _ControllerLink(controller, work)
        try:
            return self._run(work, link)
        except PromptrayError as problem:
            # A value and not an exception: Ray would wrap it, with a traceback that no user should
            # read.
            return Outcome("failed", code=type(problem).__name__, message=str(problem))
        finally:
            link.close()

    def _run(self, work: Work, link: "_ControllerLink") -> Outcome:
        for name in ("ray", "ray.serve", "ray.tune"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if isinstance(work.filed.request, EvaluationRequest):
            return self._evaluate(work, work.filed.request, link)
        return self._optimize(work, work.filed.request, link)

    def _evaluate(self, work: Work, request: EvaluationRequest, link: "_ControllerLink") -> Outcome:
        from cluster.evaluation.context import HOLDER, EvaluationContext, EvaluationStopped
        from cluster.evaluation.preparation import prepare_evaluation
        from cluster.evaluation.running import run_evaluation
        from cluster.service.jobs.evaluation_mapping import evaluation_settings
        from cluster.service.jobs.run_updates import EvaluationReporter

        filed = work.filed
        out = Store(self._service.storage).results(filed.id)
        prepared = prepare_evaluation(evaluation_settings(request, self._service, out))
        share = link.share(dict)
        reporter = EvaluationReporter(link.report)
        context = EvaluationContext(
            nullcontext,
            (filed.owner, filed.id),
            share.of(HOLDER) if share else None,
            True,
            lambda: (filed.id, work.run) in self._stopped,
            reporter.spent,
        )
        # Before they are hosted: the controller takes models off the cluster that no job claims.
        link.claim(hosted_beside(prepared.models, self._service))
        try:
            evaluated = run_evaluation(prepared, reporter.phase, reporter.answered, context)
        except EvaluationStopped:
            return Outcome("stopped")
        reporter.scored(evaluated)
        return Outcome("ended", message=evaluated.sentence)

    def _optimize(
        self, work: Work, request: OptimizationRequest, link: "_ControllerLink"
    ) -> Outcome:
        from cluster.analysis.failures import error_lines
        from cluster.experiment.prepare import prepare
        from cluster.experiment.runner import BrokenOff, Interrupted, RunContext, run_experiment
        from cluster.results import write_results
        from cluster.service.jobs.request_mapping import experiment_settings, probe_digest
        from cluster.service.jobs.run_updates import RunReporter, Sized
        from cluster.service.read_models.settings import shown_settings

        filed, store = work.filed, Store(self._service.storage)
        out = store.results(filed.id)
        # Before the ledger is opened, which reads its folder once.
        begin_with(store.estimate(probe_digest(request, self._service)), out)
        experiment = prepare(experiment_settings(request, self._service, out))
        link.report(Sized(len(experiment.trial_specs)))
        budget = experiment.settings.budget
        watcher = RunReporter(
            out,
            {"target_calls": budget.target_calls, "optimizer_calls": budget.optimizer_calls},
            link.report,
        )
        context = RunContext(
            nullcontext,
            self._service.running,
            (filed.owner, filed.id),
            link.share(lambda: tests_of(experiment)),
            True,
            lambda: (filed.id, work.run) in self._stopped,
        )
        # Before they are hosted: the controller takes models off the cluster that no job claims.
        link.claim(hosted_beside(models_of(experiment.settings), self._service))
        stopped = False
        try:
            results = run_experiment(experiment, watcher, context)
        except Interrupted as stop:
            stopped, results = True, stop.results
        except BrokenOff as broken:
            with suppress(StorageError):  # the first error is raised, not one that it causes
                write_results(out, broken.results, shown_settings(experiment.settings))
            raise broken.problem from broken
        if results:
            write_results(out, results, shown_settings(experiment.settings))
        failed = [result for result in results if result.status == "failed"]
        return Outcome(
            "stopped" if stopped else "ended",
            tuple(result.trial for result in failed),
            message=" ".join(error_lines(failed)),
            statuses={result.trial: result.status for result in results},
        )


class _ControllerLink:
    """The way to the controller: reports arrive in order.

    If the controller is gone, its error ends this run.
    """

    def __init__(self, controller: Any, work: Work) -> None:
        self._controller = controller
        self._work = work
        self._unconfirmed: list[Any] = []

    def report(self, update: Any) -> None:
        """Send an update without waiting; too many unconfirmed ones are waited for."""
        self._unconfirmed.append(
            self._controller.report.remote(self._work.filed.id, self._work.run, update)
        )
        # A controller that is away must not let reports pile up in memory for ever.
        if len(self._unconfirmed) > MOST_UNCONFIRMED:
            self.close()

    def share(self, tests: Callable[[], Mapping[str, Cost]]) -> JobShare | None:
        """Open the job's share of its owner's budget, with its final tests reserved.

        Args:
            tests: Gives what the final test of each trial costs; nothing where there is none.

        Returns:
            The share; None if the owner has no limit.

        Raises:
            QuotaExhausted: The budget has no room for the final tests.
        """
        filed = self._work.filed
        share = JobShare(self._controller, filed.owner, filed.id)
        if not self._spend("open", filed.owner):
            return None
        held = {share.holder(trial): as_calls(cost) for trial, cost in tests().items()}
        if held:
            self._spend("hold_tests", filed.owner, held)
        return share

    def _spend(self, act: str, *given: Any) -> Any:
        try:
            return ray.get(self._controller.spend.remote(act, *given), timeout=CONFIRMED_WITHIN_S)
        except GetTimeoutError:
            raise StorageError(
                f"The service has not answered this job for {CONFIRMED_WITHIN_S:g} s; resume it."
            ) from None
        except RayTaskError as problem:
            raise actor_error(problem, "the service") from None

    def claim(self, deployments: Sequence[str]) -> None:
        """Wait until the controller knows that the job is about to host these models.

        From then on none of them is taken off the cluster.
        """
        if deployments:
            _confirm(
                [
                    self._controller.claim_models.remote(
                        self._work.filed.id, self._work.run, list(deployments)
                    )
                ]
            )

    def close(self) -> None:
        """Wait until all reports have arrived.

        Raises:
            StorageError: The controller does not answer.
        """
        unconfirmed, self._unconfirmed = self._unconfirmed, []
        _confirm(unconfirmed)


def _confirm(calls: list[Any]) -> None:
    try:
        ray.get(calls, timeout=CONFIRMED_WITHIN_S)
    except GetTimeoutError:
        raise StorageError(
            f"The service has not confirmed a report of this job for {CONFIRMED_WITHIN_S:g} s; "
            "resume it."
        ) from None


def hosted_beside(models: Sequence[ModelSettings], service: ServiceSettings) -> list[str]:
    """Return the deployments that a job hosts beside the service's own.

    Such as an optimizer model with another setting.
    """
    own = {deployment_name(model) for model in service.served}
    names = map(deployment_name, in_replicas(models))
    return [name for name in names if name not in own]


def begin_with(probed: Folder, out: Folder) -> None:
    """Copy the answers of a probe into the job's ledger, so that they are not paid for again."""
    # A job that has answers of its own has begun before, and has these among them.
    if (out / "ledger").names() or not probed.exists("check.json"):
        return
    for name in (probed / "ledger").names(".arrows"):
        (out / "ledger").write(name, (probed / "ledger").read(name))
    out.write("check.json", probed.read("check.json"))
