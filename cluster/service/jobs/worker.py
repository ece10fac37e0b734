"""A process that runs jobs, one at a time and one after the other: the same code as `promptray
run`, on the Ray that is there.

Off the main thread, and without Ctrl-C: a job is stopped by being asked to. It tells its controller
what happens, and waits at the end until all of that has arrived. Everything that is this process's
dies with its controller.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayTaskError

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import Experiment, models_of, tests_of
from cluster.ray_runtime.session import ENVIRONMENT
from cluster.service.access.owner_budgets import as_calls
from cluster.service.access.spenders import JobShare
from cluster.service.core.job_record import Outcome, Work
from cluster.service.core.settings import ServiceSettings
from cluster.service.stores.job_store import Store
from optimizer.errors import PromptrayError, StorageError
from serving.hosting.deployment import deployment_name
from serving.runtime.actors import told
from serving.storage import Folder

HEARD_WITHIN_S = 300.0
"""The controller may be coming back after a crash [ours]."""
UNTOLD = 200
"""Pieces of news that may be under way."""


class Worker:
    """The actor. `run` is in one thread, `stop` in another."""

    def __init__(self, service: ServiceSettings) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._service = service
        self._stopped: set[tuple[str, int]] = set()

    def warm(self) -> int:
        """Loads what a job needs, so that the first one does not wait for it; the process's
        number.
        """
        return os.getpid()

    def alive(self) -> bool:
        """A sign of life, asked for while a job runs in another thread."""
        return True

    def stop(self, job: str, run: int) -> None:
        """This run of the job ends soon, also if it has not begun yet; its finished calls are
        kept.
        """
        self._stopped.add((job, run))

    def run(self, work: Work, controller: Any) -> Outcome:
        """Runs the job to its end. What is wrong with it is told by the outcome."""
        line = _Line(controller, work)
        try:
            return self._run(work, line)
        except PromptrayError as problem:
            return Outcome("failed", code=type(problem).__name__, message=str(problem))
        finally:
            line.close()

    def _run(self, work: Work, line: "_Line") -> Outcome:
        from cluster.analysis.failures import errors_told
        from cluster.experiment.prepare import prepare
        from cluster.experiment.runner import BrokenOff, Interrupted, RunContext, run_experiment
        from cluster.results import write_results
        from cluster.service.jobs.request_mapping import experiment_settings, probe_digest
        from cluster.service.jobs.run_updates import Reporting, Sized
        from cluster.service.read_models.settings import shown_settings

        for name in ("ray", "ray.serve", "ray.tune"):
            logging.getLogger(name).setLevel(logging.ERROR)
        filed, store = work.filed, Store(self._service.storage)
        out = store.results(filed.id)
        begin_with(store.estimate(probe_digest(filed.request, self._service)), out)
        experiment = prepare(experiment_settings(filed.request, self._service, out))
        line.tell(Sized(len(experiment.trial_specs)))
        budget = experiment.settings.budget
        watcher = Reporting(
            out,
            {"target_calls": budget.target_calls, "optimizer_calls": budget.optimizer_calls},
            line.tell,
        )
        context = RunContext(
            nullcontext,
            self._service.running,
            (filed.owner, filed.id),
            line.owner(experiment),
            True,
            lambda: (filed.id, work.run) in self._stopped,
        )
        line.claim(hosted_beside(experiment.settings, self._service))
        stopped = False
        try:
            results = run_experiment(experiment, watcher, context)
        except Interrupted as stop:
            stopped, results = True, stop.results
        except BrokenOff as broken:
            with suppress(StorageError):  # what broke the run is told, not what comes of it
                write_results(out, broken.results, shown_settings(experiment.settings))
            raise broken.problem from broken
        if results:
            write_results(out, results, shown_settings(experiment.settings))
        failed = [result for result in results if result.status == "failed"]
        return Outcome(
            "stopped" if stopped else "ended",
            tuple(result.trial for result in failed),
            message=" ".join(errors_told(failed)),
            statuses={result.trial: result.status for result in results},
        )


class _Line:
    """To the controller, in order. A controller that is gone takes this process with it."""

    def __init__(self, controller: Any, work: Work) -> None:
        self._controller = controller
        self._work = work
        self._untold: list[Any] = []

    def tell(self, news: Any) -> None:
        self._untold.append(
            self._controller.report.remote(self._work.filed.id, self._work.run, news)
        )
        if len(self._untold) > UNTOLD:
            self.close()

    def owner(self, experiment: Experiment) -> JobShare | None:
        """The job's part of what its owner may spend today, with its final tests kept aside; None
        where the owner has no limit.
        Raises QuotaExhausted where there is no room for them.
        """
        filed = self._work.filed
        share = JobShare(self._controller, filed.owner, filed.id)
        if not self._asked("open", filed.owner):
            return None
        tests = {
            share.holder(trial): as_calls(cost) for trial, cost in tests_of(experiment).items()
        }
        self._asked("keep_tests", filed.owner, tests)
        return share

    def _asked(self, act: str, *given: Any) -> Any:
        try:
            return ray.get(self._controller.spend.remote(act, *given), timeout=HEARD_WITHIN_S)
        except GetTimeoutError:
            raise StorageError(
                f"The service has not answered this job for {HEARD_WITHIN_S:g} s; resume it."
            ) from None
        except RayTaskError as problem:
            raise told(problem, "the service") from None

    def claim(self, deployments: Sequence[str]) -> None:
        """Returns when the controller knows that the job is about to host these models: none of
        them is taken away from it then.
        """
        if deployments:
            _heard(
                [
                    self._controller.claim_models.remote(
                        self._work.filed.id, self._work.run, list(deployments)
                    )
                ]
            )

    def close(self) -> None:
        """Returns when all has arrived. Raises StorageError where the controller does not hear."""
        untold, self._untold = self._untold, []
        _heard(untold)


def _heard(told: list[Any]) -> None:
    try:
        ray.get(told, timeout=HEARD_WITHIN_S)
    except GetTimeoutError:
        raise StorageError(
            f"The service has not heard of this job's course for {HEARD_WITHIN_S:g} s; resume it."
        ) from None


def hosted_beside(settings: ExperimentSettings, service: ServiceSettings) -> list[str]:
    """The deployments that an experiment hosts beside the service's own, such as an optimizer model
    with another setting.
    """
    own = {deployment_name(model) for model in service.served}
    served = [model for model in models_of(settings) if model.served]
    return [name for name in map(deployment_name, served) if name not in own]


def begin_with(probed: Folder, out: Folder) -> None:
    """What a probe has paid for need not be paid again: its answers become the first ones of the
    job's ledger.
    """
    if (out / "ledger").names() or not probed.exists("check.json"):
        return
    for name in (probed / "ledger").names(".arrows"):
        (out / "ledger").write(name, (probed / "ledger").read(name))
    out.write("check.json", probed.read("check.json"))
