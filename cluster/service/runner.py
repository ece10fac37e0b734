"""A process that runs jobs, one at a time and one after the other: the same code as `promptray run`, on the Ray that is there.

Off the main thread, and without Ctrl-C: a job is stopped by being asked to. It tells its keeper what happens, and waits at the end
until all of that has arrived. Everything that is this process's dies with its keeper.
"""

import logging
import os
from contextlib import nullcontext
from typing import Any

import ray

from cluster.ray_session import ENVIRONMENT
from cluster.service.job import Outcome, Work
from cluster.service.settings import ServiceSettings
from cluster.service.store import Store
from optimizer.errors import PromptrayError
from serving.storage import Folder

UNTOLD = 200
"""Pieces of news that may be under way."""


class Runner:
    """The actor. `run` is in one thread, `stop` in another."""

    def __init__(self, service: ServiceSettings) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._service = service
        self._stopped: set[tuple[str, int]] = set()

    def warm(self) -> int:
        """Loads what a job needs, so that the first one does not wait for it; the process's number."""
        import cluster.experiment  # noqa: F401

        return os.getpid()

    def stop(self, job: str, run: int) -> None:
        """This run of the job ends soon, also if it has not begun yet; its finished calls are kept."""
        self._stopped.add((job, run))

    def run(self, work: Work, keeper: Any) -> Outcome:
        """Runs the job to its end. What is wrong with it is told by the outcome."""
        line = _Line(keeper, work)
        try:
            return self._run(work, line)
        except PromptrayError as problem:
            return Outcome("failed", code=type(problem).__name__, message=str(problem))
        finally:
            line.close()

    def _run(self, work: Work, line: "_Line") -> Outcome:
        from cluster.experiment import Around, Interrupted, run_experiment
        from cluster.preparation import prepare
        from cluster.report import write_results
        from cluster.report.failures import errors_told
        from cluster.service.experiments import experiment_settings, probe_digest
        from cluster.service.news import Reporting, Sized

        for name in ("ray", "ray.serve", "ray.tune"):
            logging.getLogger(name).setLevel(logging.ERROR)
        filed, store = work.filed, Store(self._service.storage)
        out = store.results(filed.id)
        begin_with(store.estimate(probe_digest(filed.request, self._service)), out)
        experiment = prepare(experiment_settings(filed.request, self._service, out))
        line.tell(Sized(len(experiment.assignments)))
        budget = experiment.settings.budget
        watcher = Reporting(out, {"target_calls": budget.target_calls, "optimizer_calls": budget.optimizer_calls}, line.tell)
        around = Around(
            nullcontext, self._service.running, (filed.owner, filed.id), True, lambda: (filed.id, work.run) in self._stopped)
        stopped = False
        try:
            results = run_experiment(experiment, watcher, around)
        except Interrupted as stop:
            stopped, results = True, stop.results
        write_results(out, results, experiment.settings.model_dump(mode="json"))
        failed = [result for result in results if result.status == "failed"]
        return Outcome(
            "stopped" if stopped else "ended", tuple(result.trial for result in failed), message=" ".join(errors_told(failed)),
            statuses={result.trial: result.status for result in results})


class _Line:
    """To the keeper, in order. A keeper that is gone takes this process with it."""

    def __init__(self, keeper: Any, work: Work) -> None:
        self._keeper = keeper
        self._work = work
        self._untold: list[Any] = []

    def tell(self, news: Any) -> None:
        self._untold.append(self._keeper.report.remote(self._work.filed.id, self._work.run, news))
        if len(self._untold) > UNTOLD:
            self.close()

    def close(self) -> None:
        """Returns when all has arrived."""
        ray.get(self._untold)
        self._untold = []


def begin_with(probed: Folder, out: Folder) -> None:
    """What a probe has paid for need not be paid again: its answers become the first ones of the job's ledger."""
    if (out / "ledger").names() or not probed.exists("check.json"):
        return
    for name in (probed / "ledger").names(".arrows"):
        (out / "ledger").write(name, (probed / "ledger").read(name))
    out.write("check.json", probed.read("check.json"))
