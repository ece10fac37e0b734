"""The controller of jobs, with a worker pool that plays its runs in this process: states, quotas,
losses, and what a new controller finds.
"""

import asyncio
import time
from pathlib import Path

import pytest

from cluster.service.access.quotas import Quotas, day_of
from cluster.service.core.errors import Conflict, NotFound, OverQuota
from cluster.service.core.job_record import Spent
from cluster.service.core.settings import QuotaSettings
from cluster.service.core.worker_pool import Lost, Outcome, Work
from cluster.service.jobs.controller import JobController
from cluster.service.jobs.job_runner import LOST_WITHOUT_PROGRESS
from cluster.service.jobs.run_updates import Ended, Sized
from cluster.service.stores.job_store import Store
from optimizer.errors import StorageError
from tests.contracts.hurry import hurried_controller
from tests.unit.cluster.service.running_controller import (
    FREE,
    WorkerPool,
    filed,
    kinds,
    one_trial,
    over,
    round_of,
    running_controller,
    until,
    until_stopped,
)


async def test_a_job_goes_from_the_queue_to_its_end_and_all_of_it_stands_on_storage(
    tmp_path: Path,
) -> None:
    async with running_controller(tmp_path, one_trial) as (controller, _):
        created = await controller.create(filed("opt-1"), FREE)
        assert created.status in ("queued", "running")
        await over(controller, "opt-1")
        job = controller.get("opt-1")
        await until(lambda: Store(str(tmp_path)).state("opt-1").status == "succeeded")
    assert (
        job.best_dev_accuracy_by_task
        == Store(str(tmp_path)).state("opt-1").best_dev_accuracy_by_task
        == {"easy": 0.9}
    )
    assert (job.trials, job.trials_done, job.best_dev_accuracy, job.runs) == (1, 1, 0.9, 1)
    assert (job.usage.target_calls, job.usage.calls_by_purpose) == (20, {"learn": 20})
    assert kinds(tmp_path, "opt-1") == [
        "job.queued",
        "job.started",
        "trial.started",
        "trial.round",
        "trial.round",
        "trial.better",
        "trial.finished",
        "job.succeeded",
    ]
    assert [event.id for event in Store(str(tmp_path)).events("opt-1")] == list(range(1, 9))


async def test_jobs_of_owners_take_turns_and_no_more_run_than_may(tmp_path: Path) -> None:
    async with running_controller(tmp_path, until_stopped) as (controller, worker_pool):
        for number in range(4):
            await controller.create(filed(f"opt-a{number}", "ann"), FREE)
        for number in range(2):
            await controller.create(filed(f"opt-b{number}", "bob"), FREE)
        shown = {job.id: job.queue_position for job in controller.jobs()}
        assert shown == {
            "opt-a0": None,
            "opt-a1": None,
            "opt-b0": 1,
            "opt-b1": 2,
            "opt-a2": 3,
            "opt-a3": 4,
        }
        worker_pool.gate.set()
        for id in shown:
            await over(controller, id)
        assert worker_pool.most_at_once == 2
        turns = {machine.state.turn: id for id, machine in controller.job_table.machines.items()}
        assert turns[3] == "opt-b0", "bob had none"


async def test_the_same_key_and_the_same_id_are_the_same_job(tmp_path: Path) -> None:
    async with running_controller(tmp_path, one_trial) as (controller, _):
        first = await controller.create(filed("opt-1", key="k"), FREE)
        assert (await controller.create(filed("opt-2", key="k"), FREE)).id == first.id
        assert (await controller.create(filed("opt-1", key="other"), FREE)).id == first.id
        assert (await controller.create(filed("opt-3", "bob", key="k"), FREE)).id == "opt-3"
        await over(controller, "opt-1")
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert (await controller.create(filed("opt-4", key="k"), FREE)).id == "opt-1", (
            "the next controller knows it too"
        )


async def test_a_job_is_cancelled_in_the_queue_and_while_it_runs_and_resumed(
    tmp_path: Path,
) -> None:
    async with running_controller(tmp_path, until_stopped, running=1) as (controller, worker_pool):
        await controller.create(filed("opt-1"), FREE)
        await controller.create(filed("opt-2"), FREE)
        assert (await controller.cancel("opt-2")).status == "cancelled"
        await until(lambda: "trial.round" in kinds(tmp_path, "opt-1"))
        assert (await controller.cancel("opt-1")).status == "cancelling"
        await over(controller, "opt-1", "cancelled")
        with pytest.raises(Conflict, match="over"):
            await controller.cancel("opt-1")
        worker_pool.gate.set()
        await controller.resume("opt-1", FREE)
        await over(controller, "opt-1")
        with pytest.raises(Conflict):
            await controller.resume("opt-1", FREE)
        with pytest.raises(NotFound):
            await controller.cancel("opt-9")
    assert kinds(tmp_path, "opt-1") == [
        "job.queued",
        "job.started",
        "trial.started",
        "trial.round",
        "job.cancelling",
        "job.cancelled",
        "job.resumed",
        "job.started",
        "trial.round",
        "trial.better",
        "trial.finished",
        "job.succeeded",
    ]


async def test_a_job_whose_process_is_lost_goes_on_and_is_given_up_only_without_progress(
    tmp_path: Path,
) -> None:
    async def dies(worker_pool: WorkerPool, work: Work) -> Outcome:
        if work.filed.id == "opt-stuck" or work.run < 5:
            if work.filed.id != "opt-stuck":
                round_of(worker_pool, work, work.run, 5)
            raise Lost("it died")
        return await one_trial(worker_pool, work)

    async with running_controller(tmp_path, dies) as (controller, worker_pool):
        await controller.create(filed("opt-moving"), FREE)
        await controller.create(filed("opt-stuck"), FREE)
        await over(controller, "opt-stuck", "failed")
        await over(controller, "opt-moving")
        assert controller.get("opt-moving").runs == 5
        assert (
            sum(work.filed.id == "opt-stuck" for work in worker_pool.works) == LOST_WITHOUT_PROGRESS
        )
        fault = controller.get("opt-stuck").error
        assert fault is not None
        assert "lost 3 times" in fault.message


async def test_failed_runs_and_failed_trials_fail_the_job_in_a_sentence(tmp_path: Path) -> None:
    async def fails(worker_pool: WorkerPool, work: Work) -> Outcome:
        if work.filed.id == "opt-1":
            return Outcome("failed", code="DataError", message="The data is gone.")
        worker_pool.tell(work, Sized(2))
        worker_pool.tell(work, Ended("t", Spent(), "failed", "It broke.", None))
        message = (
            "t: http://x answered 400: System role not supported."
            if work.filed.id == "opt-3"
            else ""
        )
        return Outcome("ended", ("t",), message=message, statuses={"t": "failed"})

    async with running_controller(tmp_path, fails) as (controller, _):
        for id in ("opt-1", "opt-2", "opt-3"):
            await controller.create(filed(id), FREE)
            await over(controller, id, "failed")
        first, second, third = (controller.get(id).error for id in ("opt-1", "opt-2", "opt-3"))
        assert first is not None
        assert (first.code, first.message) == ("DataError", "The data is gone.")
        assert second is not None
        assert second.message == "1 of 2 trials have failed: t."
        assert third is not None
        assert (
            third.message
            == "1 of 2 trials have failed: t: http://x answered 400: System role not supported."
        )
    assert "trial.failed" in kinds(tmp_path, "opt-2")


async def test_a_new_controller_goes_on_with_what_waited_and_ran_and_says_nothing_twice(
    tmp_path: Path,
) -> None:
    async with running_controller(tmp_path, until_stopped, running=1) as (controller, _):
        for id in ("opt-1", "opt-2", "opt-3"):
            await controller.create(filed(id), FREE)
        await controller.cancel("opt-3")
        await until(lambda: "trial.round" in kinds(tmp_path, "opt-1"))
        before = Store(str(tmp_path)).events("opt-1")
    async with running_controller(tmp_path, one_trial, running=1) as (controller, _):
        assert [job.id for job in controller.jobs()] == ["opt-3", "opt-2", "opt-1"]
        await over(controller, "opt-1")
        await over(controller, "opt-2")
        assert controller.get("opt-3").status == "cancelled"
        assert controller.get("opt-1").runs == 2
    assert Store(str(tmp_path)).events("opt-1")[: len(before)] == before
    assert kinds(tmp_path, "opt-1") == [
        "job.queued",
        "job.started",
        "trial.started",
        "trial.round",
        "trial.round",
        "trial.better",
        "trial.finished",
        "job.succeeded",
    ]


@pytest.mark.parametrize(
    ("ended", "last_event", "status"),
    [(True, 2, "cancelled"), (True, 3, "queued"), (False, 2, "queued")],
)
async def test_a_crash_between_an_event_and_its_state_is_mended(
    tmp_path: Path, ended: bool, last_event: int, status: str
) -> None:
    """The event that ends a job comes before its state; the state of a job that was resumed comes
    before the event.
    """
    async with running_controller(tmp_path, until_stopped) as (controller, _):
        await controller.create(filed("opt-1"), FREE)
        await until(lambda: "trial.round" in kinds(tmp_path, "opt-1"))
        if ended:
            await controller.cancel("opt-1")
            await over(controller, "opt-1", "cancelled")
    store = Store(str(tmp_path))
    state = store.state("opt-1")
    state.status, state.last_event = (
        "queued" if ended else "running",
        len(store.events("opt-1")) - 3 + last_event,
    )
    store.save_state("opt-1", state.to_json())
    async with running_controller(tmp_path, until_stopped, running=1) as (controller, _):
        found = controller.get("opt-1").status
        assert found == status or (status == "queued" and found == "running")
    assert ("job.resumed" in kinds(tmp_path, "opt-1")) == (ended and status == "queued")


async def test_a_second_controller_of_the_same_storage_is_refused(tmp_path: Path) -> None:
    async with running_controller(tmp_path, one_trial):
        second = JobController(str(tmp_path), 1, WorkerPool(one_trial))
        with pytest.raises(StorageError, match="in use"):
            await second.open(0.2)


async def test_quotas_bound_jobs_and_calls_and_use_outlives_the_controller(tmp_path: Path) -> None:
    limits = QuotaSettings(jobs_at_once=1, calls_a_day=25)
    async with running_controller(tmp_path, until_stopped) as (controller, worker_pool):
        await controller.create(filed("opt-1"), limits)
        with pytest.raises(OverQuota, match="1 of the 1 jobs that your quota allows"):
            await controller.create(filed("opt-2"), limits)
        await controller.create(filed("opt-3", "bob"), FREE)
        worker_pool.gate.set()
        await over(controller, "opt-1")
        await controller.create(filed("opt-4"), limits)
        await over(controller, "opt-4")
        assert controller.use("ann") == {"jobs_now": 0, "calls_today": 40, "money_today": 0.0}
        await until(
            lambda: (
                Store(str(tmp_path)).usage(day_of(time.time())).get("ann", {}).get("calls") == 40
            )
        )
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert controller.use("ann")["calls_today"] == 40
        with pytest.raises(OverQuota, match="25 calls a day") as refused:
            await controller.create(filed("opt-5"), limits)
        assert refused.value.retry_after_s is not None
        assert 0 < refused.value.retry_after_s <= 86_400


def test_a_new_day_begins_with_nothing() -> None:
    now = 86_400.0 * 10 - 1
    quotas = Quotas(lambda day: {}, lambda: now)
    quotas.pay("ann", 5, 0.5)
    assert quotas.of("ann") == (5, 0.5)
    assert quotas.spent_out("ann", QuotaSettings(money_a_day=0.5))
    now += 1
    assert quotas.of("ann") == (0, 0.0)
    assert not quotas.spent_out("ann", QuotaSettings(money_a_day=0.5))


async def test_news_come_as_soon_as_there_are_some_and_not_before(tmp_path: Path) -> None:
    async with running_controller(tmp_path, until_stopped) as (controller, worker_pool):
        await controller.create(filed("opt-1"), FREE)
        await asyncio.sleep(0.1)
        known = controller.get("opt-1").last_event
        assert await controller.events_since({"opt-1": known, "opt-9": 0}, 0.05) == {}
        asking = asyncio.create_task(controller.events_since({"opt-1": known}, 10))
        worker_pool.gate.set()
        found = await asyncio.wait_for(asking, 5)
        assert found["opt-1"][0].id == known + 1


async def test_a_job_that_is_cancelled_as_soon_as_it_is_filed_is_not_run(tmp_path: Path) -> None:
    async with running_controller(tmp_path, one_trial) as (controller, worker_pool):
        await controller.create(filed("opt-1"), FREE)
        await controller.cancel("opt-1")
        await over(controller, "opt-1", "cancelled")
        assert worker_pool.works == []
        await controller.resume("opt-1", FREE)
        await over(controller, "opt-1")
    assert kinds(tmp_path, "opt-1")[-1] == "job.succeeded"


async def test_a_controller_whose_storage_was_taken_says_so_and_keeps_nothing_more(
    tmp_path: Path,
) -> None:
    class Taken:
        def check(self) -> None:
            raise StorageError("It is another's.")

        def release(self) -> None:
            """Nothing."""

    with hurried_controller():
        lost = asyncio.Event()
        controller = JobController(str(tmp_path), 1, WorkerPool(one_trial), lost=lost.set)
        await controller.open(0.5)
        controller.job_table.held.release()
        controller.job_table.held = Taken()
        await asyncio.wait_for(lost.wait(), 5)
        with pytest.raises(StorageError):
            await controller.create(filed("opt-1"), FREE)
        await controller.close()
