"""A service's storage that an older version left when all of it was killed: its jobs, keys, files,
audit and use, and what goes on.

Without Ray: a worker pool of the tests plays the runs, and the interrupted job's trial runs in this
process over its own ledger.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.experiment.planning import plan_of
from cluster.experiment.prepare import check
from cluster.results import read_trials
from cluster.service.access.key_store import read_keys
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.core.backend import Principal
from cluster.service.core.settings import ServiceSettings
from cluster.service.core.worker_pool import Outcome, Work
from cluster.service.jobs.request_mapping import experiment_settings
from cluster.service.stores.audit_log import Audit
from cluster.service.stores.data_files import FileStore
from cluster.service.stores.job_store import Store
from cluster.trial.trial import Trial
from optimizer.protocols import LanguageModel
from optimizer.types import Outcome as Answered
from optimizer.types import Request
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.ledger.store import Ledger
from serving.models import open_in_process
from serving.storage import open_folder
from tests.contracts.written_before import WRITTEN, Copied
from tests.unit.cluster.service.running_controller import (
    WorkerPool,
    kinds,
    one_trial,
    over,
    running_controller,
)

FINISHED, CANCELLED, INTERRUPTED = (
    "opt-499c5d689ac072dedb0158f8",
    "opt-81277540a78d272ce28d50e6",
    "opt-fc5d67e7d983f533ecff14fb",
)
ANN, FILE = Principal("ann"), "file-01a21e3963f9cf91b486d0"


class Counting:
    """A model, and how many calls reach it."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self.name = model.name
        self.calls = 0

    async def complete(self, requests: Sequence[Request]) -> list[Answered]:
        self.calls += len(requests)
        return list(await self._model.complete(requests))


def kept_answers(storage: Path, job: str) -> int:
    return len(
        Ledger.read_only(open_folder(storage / "optimizations" / job / "results" / "ledger"))
    )


async def test_its_jobs_stand_as_they_did_and_the_interrupted_one_goes_on_by_itself(
    copied: Copied,
) -> None:
    storage = copied("storage")
    ran: list[tuple[str, int]] = []

    async def play(worker_pool: WorkerPool, work: Work) -> Outcome:
        ran.append((work.filed.id, work.run))
        assert work.filed.request.seeds == (4,)
        return await one_trial(worker_pool, work)

    async with running_controller(storage, play) as (controller, _):
        assert controller.job_table.notes == []
        before = {job.id: job for job in controller.jobs()}
        assert [(job.id, job.name, job.owner) for job in before.values()] == [
            (INTERRUPTED, "interrupted", "ann"),
            (CANCELLED, "cancelled", "ann"),
            (FINISHED, "finished", "ann"),
        ]
        assert (before[FINISHED].status, before[CANCELLED].status) == ("succeeded", "cancelled")
        assert before[INTERRUPTED].status in ("queued", "running")
        assert (before[FINISHED].usage.target_calls, before[FINISHED].usage.optimizer_calls) == (
            62,
            36,
        )
        assert before[FINISHED].best_dev_accuracy == 0.6666666666666666
        assert controller.use("ann")["calls_today"] in (0, 172), (
            "of the day on which it was written"
        )
        await over(controller, INTERRUPTED)
        assert ran == [(INTERRUPTED, 2)], "a run more than it had, and nobody else's"
        old = Store(str(WRITTEN / "storage")).events(INTERRUPTED)
        events = Store(str(storage)).events(INTERRUPTED)
        assert events[: len(old)] == old
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        assert kinds(storage, INTERRUPTED)[-1] == "job.succeeded"


async def test_a_cancelled_job_can_be_resumed(copied: Copied) -> None:
    storage = copied("storage")
    async with running_controller(storage, one_trial) as (controller, _):
        await over(controller, INTERRUPTED)
        await controller.resume(CANCELLED, ServiceSettings().quota)
        await over(controller, CANCELLED)
        assert controller.get(CANCELLED).runs == 2


async def test_the_trial_of_the_interrupted_job_pays_only_for_what_its_ledger_lacks(
    copied: Copied,
) -> None:
    storage = copied("storage")
    kept, place = kept_answers(storage, INTERRUPTED), Store(str(storage)).results(INTERRUPTED)
    request = Store(str(storage)).filed(INTERRUPTED).request
    settings = experiment_settings(request, ServiceSettings(storage=str(storage)), place)
    [trial_spec], tasks, _ = check(settings)
    plan = plan_of(settings, trial_spec)
    with Ledger(place / "ledger") as record:
        ledger = LedgerCoordinator(record)
        models = [Counting(open_in_process(plan.target)), Counting(open_in_process(plan.optimizer))]
        result = await Trial(
            plan, tasks[plan.task, plan.seed], *(CachedModel(model, ledger) for model in models)
        ).run()
    assert (result.trial, result.status, result.error) == (
        "navigate-iterative_ape-s4",
        "finished",
        "",
    )
    fresh = sum(model.calls for model in models)
    assert kept_answers(storage, INTERRUPTED) == kept + fresh
    assert result.target_calls + result.optimizer_calls - result.ledger_hits == fresh
    assert result.ledger_hits >= kept > 0, (
        "each answer that it had was asked for again, and is still its own"
    )
    for old in sorted(
        (WRITTEN / "storage" / "optimizations" / INTERRUPTED / "results" / "rounds").glob(
            "*/*.json"
        )
    ):
        now = json.loads(json.dumps(result.rounds[int(old.stem)].to_json()))
        was = json.loads(
            old.read_text().replace("beside the seed prompt", "beside the baseline")
        )  # a note's words of today
        assert _as_far_as(was, now) == was, "the same course"


def _as_far_as(old: Any, now: Any) -> Any:
    """Return what stands now under the names of old: later versions may say more."""
    if isinstance(old, dict) and isinstance(now, dict):
        return {name: _as_far_as(old[name], now[name]) for name in old if name in now}
    if isinstance(old, list) and isinstance(now, list) and len(old) == len(now):
        return [_as_far_as(before, after) for before, after in zip(old, now, strict=True)]
    return now


async def test_a_finished_job_s_results_are_shown(copied: Copied) -> None:
    out = copied("storage") / "optimizations" / FINISHED / "results"
    [result] = read_trials(open_folder(out))
    assert (result.trial, result.status) == ("navigate-apo-s0", "finished")
    backend = ArchiveBackend([out])
    assert not backend.damaged


async def test_its_keys_files_and_audit_are_read(copied: Copied) -> None:
    storage = open_folder(copied("storage"))
    assert [(key.owner, key.admin) for key in read_keys(storage)] == [
        ("root", True),
        ("ann", False),
    ]
    limits = read_keys(storage)[1].quota
    assert limits is not None
    assert (limits.jobs_at_once, limits.calls_a_day) == (4, 20000)
    files = FileStore(storage)
    assert [(file.id, file.filename, file.rows) for file in files.page(ANN, None, 10).data] == [
        (FILE, "signs.jsonl", 10)
    ]
    assert files.page(Principal("bob"), None, 10).data == []
    assert files.get(ANN, FILE).scorer == "choice"
    assert [entry.action for entry in Audit(storage).page(None, 10).data] == [
        "optimization.create",
        "optimization.cancel",
        "optimization.create",
        "optimization.create",
        "file.upload",
    ]
