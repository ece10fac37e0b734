"""An exception that nobody expected, in every background task of the controller, once and for ever:
what the user sees, and that all else goes on. Without Ray.
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError

from cluster.service.core.settings import ServiceSettings
from cluster.service.core.worker_pool import Lost, Outcome, Work
from cluster.service.jobs import controller as controller_module
from cluster.service.jobs import job_runner
from cluster.service.jobs.controller import JobController
from cluster.service.jobs.event_log import ATTEMPTS
from cluster.service.jobs.run_updates import Phase
from cluster.service.jobs.state_machine import JobStateMachine
from cluster.service.jobs.worker_pool import RayWorkerPool
from cluster.service.stores.job_store import Store
from optimizer.errors import StorageError
from serving.runtime.supervision import Backoff, Supervisor
from serving.storage.journal import Journal
from tests.unit.cluster.service.running_controller import (
    FREE,
    WorkerPool,
    filed,
    kinds,
    one_trial,
    over,
    running_controller,
    until,
    until_stopped,
)

QUICK = Backoff(0.01, 0.02)
ALWAYS = 10**9


class Injected(RuntimeError):
    """No error of ours."""


class Broken:
    """In place of a function: raises `times` times, and then does what it did."""

    def __init__(
        self, work: Callable[..., Any], times: int, error: type[Exception] = Injected
    ) -> None:
        self._work, self.left, self._error = work, times, error
        self.raised = 0

    def __call__(self, *given: Any, **named: Any) -> Any:
        if self.left:
            self.left -= 1
            self.raised += 1
            raise self._error("injected")
        return self._work(*given, **named)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_module, "SAVE_EVERY_S", 0.02)
    monkeypatch.setattr(job_runner, "AGAIN_S", 0.01)
    monkeypatch.setattr(job_runner, "RETRY_S", 0.1)


PLACE_BY_ROUND: dict[str, Callable[[JobController, WorkerPool], tuple[Any, str]]] = {
    "holding the storage": lambda controller, worker_pool: (controller.job_table, "held"),
    "counting calls in flight": lambda controller, worker_pool: (worker_pool, "in_flight"),
    "saving jobs": lambda controller, worker_pool: (controller._saver, "save"),
    "saving the use of quotas": lambda controller, worker_pool: (Store, "save_usage"),
    "starting waiting jobs": lambda controller, worker_pool: (controller.job_table, "to_start"),
    "releasing models": lambda controller, worker_pool: (worker_pool, "release"),
}
"""Every round of the controller -> what of it is broken here."""
ENDS_BY_ROUND = dict.fromkeys(PLACE_BY_ROUND, "succeeded") | {
    # What cannot be saved, ever, is not run for nothing: the job says so. A controller that starts
    # nothing leaves it in the queue.
    "saving jobs": "failed",
    "starting waiting jobs": "queued",
}


class Held:
    """A hold whose look at the storage breaks."""

    def __init__(self, times: int) -> None:
        self._breaks = Broken(lambda: None, times)

    def check(self) -> None:
        self._breaks()

    def release(self) -> None:
        """Nothing."""


async def hosting(worker_pool: WorkerPool, work: Work) -> Outcome:
    assert worker_pool.controller
    await worker_pool.controller.claim_models(work.filed.id, work.run, ["variant"])
    return await one_trial(worker_pool, work)


@pytest.mark.parametrize("times", [1, ALWAYS])
@pytest.mark.parametrize("name", PLACE_BY_ROUND)
async def test_a_fault_in_a_round_of_the_controller_is_seen_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, times: int
) -> None:
    async with running_controller(tmp_path, hosting, backoff=QUICK) as (controller, worker_pool):
        owner, attribute = PLACE_BY_ROUND[name](controller, worker_pool)
        if attribute == "held":
            controller.job_table.held.release()
            controller.job_table.held = Held(times)
            await until(lambda: any(fault.task == name for fault in controller._tasks.recent))
            if times == ALWAYS:  # then nothing can be written, and nothing is taken in
                assert any(name in fault for fault in controller.faults())
                with pytest.raises(Injected):
                    await controller.create(filed("opt-1"), FREE)
                return
        else:
            broken = Broken(getattr(owner, attribute), times)
            monkeypatch.setattr(
                owner, attribute, (lambda *given: broken(*given)) if owner is Store else broken
            )
        await controller.create(filed("opt-1"), FREE)
        status = "succeeded" if times == 1 and name != "saving jobs" else ENDS_BY_ROUND[name]
        await over(controller, "opt-1", status)
        await until(
            lambda: any(fault.reason == "Injected: injected" for fault in controller._tasks.recent)
        )
        if times == ALWAYS:
            await until(lambda: any(name in fault for fault in controller.faults()))
        else:
            await until(lambda: not controller.faults())
            if name != "saving jobs":
                await until(lambda: Store(str(tmp_path)).state("opt-1").status == "succeeded")
                await until(lambda: controller.job_table.machines["opt-1"].state.hosted == [])
        if status == "failed":
            error = controller.get("opt-1").error
            assert error is not None
            assert "fault of the service (Injected: injected)" in error.message


async def test_every_round_of_the_controller_is_broken_here(tmp_path: Path) -> None:
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert set(controller._tasks.names) == set(PLACE_BY_ROUND)


@pytest.mark.parametrize("place", ["run", "start", "settle", "durable", "pause_clock"])
async def test_a_fault_while_a_job_is_attended_is_its_end_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    async with running_controller(tmp_path, one_trial, running=1, backoff=QUICK) as (
        controller,
        worker_pool,
    ):
        with monkeypatch.context() as patch:
            owner = {"run": worker_pool, "durable": controller_module.StateSaver}.get(
                place, JobStateMachine
            )
            attribute = {"durable": "flush"}.get(place, place)
            broken = Broken(getattr(owner, attribute), 1)
            patch.setattr(
                owner, attribute, broken if owner is worker_pool else lambda *given: broken(*given)
            )
            await controller.create(filed("opt-1"), FREE)
            await over(controller, "opt-1", "succeeded" if place == "pause_clock" else "failed")
            assert broken.raised == 1
        error = controller.get("opt-1").error
        if error is not None:
            assert (error.code, "Injected: injected" in error.message) == ("InternalError", True)
        await until(lambda: not controller.job_table.attended)
        await controller.create(filed("opt-2"), FREE)
        await over(controller, "opt-2")
        if error is not None:
            await until(lambda: Store(str(tmp_path)).state("opt-1").status == "failed")
            assert kinds(tmp_path, "opt-1")[-1] == "job.failed"
            await controller.resume("opt-1", FREE)
            await over(controller, "opt-1")


@pytest.mark.parametrize("times", [1, ALWAYS])
async def test_events_that_cannot_be_written_are_written_later_and_none_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    whole, broken = Journal.append, Broken(lambda: None, 0)

    def append(journal: Journal, entries: Any) -> None:
        broken()
        whole(journal, entries)

    async def breaks(worker_pool: WorkerPool, work: Work) -> Outcome:
        broken.left = times
        worker_pool.tell(work, Phase("Preparing"))
        await until(lambda: broken.raised == min(times, ATTEMPTS))
        return await one_trial(worker_pool, work)

    monkeypatch.setattr(Journal, "append", append)
    async with running_controller(tmp_path, breaks, backoff=QUICK) as (controller, _):
        await controller.create(filed("opt-1"), FREE)
        await over(controller, "opt-1")
        job = controller.get("opt-1")
        if times == ALWAYS:
            news = await controller.events_since({"opt-1": job.last_event}, 5)
            assert "cannot be written (Injected: injected)" in str(news["opt-1"])
        else:
            assert kinds(tmp_path, "opt-1")[-1] == "job.succeeded"
            assert "job.phase" in kinds(tmp_path, "opt-1")
    assert [event.id for event in Store(str(tmp_path)).events("opt-1")] == list(
        range(1, job.last_event + 1)
    )


@pytest.mark.parametrize("error", [Injected, StorageError])
async def test_a_controller_opens_though_the_events_of_a_job_cannot_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    async with running_controller(tmp_path, until_stopped) as (controller, _):
        await controller.create(filed("opt-1"), FREE)
        await until(lambda: "trial.round" in kinds(tmp_path, "opt-1"))
        await controller.create(filed("opt-2"), FREE)
        await over(controller, "opt-2", "running")
    store = Store(str(tmp_path))
    state = store.state("opt-2")
    state.status = "cancelling"
    store.save_state("opt-2", state.to_json())
    whole, broken = Journal.append, Broken(lambda: None, ALWAYS, error)

    def append(journal: Journal, entries: Any) -> None:
        if "opt-2" in str(journal._folder):
            broken()
        whole(journal, entries)

    monkeypatch.setattr(Journal, "append", append)
    monkeypatch.setattr(controller_module, "REPAIRED_WITHIN_S", 0.2)
    async with running_controller(tmp_path, one_trial, backoff=QUICK) as (controller, _):
        await over(controller, "opt-1")
        assert broken.raised
        if error is StorageError:
            assert any("opt-2" in fault for fault in controller.faults())
            broken.left = 0
        await over(controller, "opt-2", "cancelled")


@pytest.mark.parametrize(("owner", "write"), [(Store, "save_state"), (Journal, "append")])
async def test_nothing_is_written_after_the_storage_was_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type[Any], write: str
) -> None:
    """A thread goes on when whoever waits for it is cancelled, as a closing controller does."""
    whole, began, ended = getattr(owner, write), list[float](), list[float]()

    def slow(*given: Any) -> None:
        began.append(time.monotonic())
        time.sleep(0.2)
        whole(*given)
        ended.append(time.monotonic())

    async with running_controller(tmp_path, until_stopped) as (controller, _):
        monkeypatch.setattr(owner, write, slow)
        await controller.create(filed("opt-1"), FREE)
        await until(lambda: len(began) > len(ended))
    assert len(began) == len(ended)


@pytest.mark.parametrize("fault", ["stop", "kill", "both"])
async def test_a_job_is_never_cancelling_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Its run does not follow, and the worker pool breaks when it is asked to end it."""
    deaf = asyncio.Event()

    async def hears_nothing(worker_pool: WorkerPool, work: Work) -> Outcome:
        worker_pool.tell(work, Phase("Preparing"))
        await deaf.wait()
        raise AssertionError

    async with running_controller(
        tmp_path, hears_nothing, running=1, backoff=QUICK, stops_within_s=0.1, ends_within_s=0.1
    ) as (controller, worker_pool):
        for name in ("stop", "kill") if fault == "both" else (fault,):
            monkeypatch.setattr(worker_pool, name, Broken(getattr(worker_pool, name), ALWAYS))
        await controller.create(filed("opt-1"), FREE)
        await until(lambda: bool(worker_pool.running))
        await controller.cancel("opt-1")
        await over(controller, "opt-1", "cancelled")
        await until(lambda: not controller.job_table.attended)
    assert kinds(tmp_path, "opt-1")[-1] == "job.cancelled"


async def test_a_run_that_is_cancelled_while_the_storage_is_away_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, away = Journal.append, False

    def append(journal: Journal, entries: Any) -> None:
        if away:
            raise StorageError("The storage is away.")
        whole(journal, entries)

    monkeypatch.setattr(Journal, "append", append)
    async with running_controller(tmp_path, until_stopped, backoff=QUICK) as (
        controller,
        worker_pool,
    ):
        await controller.create(filed("opt-1"), FREE)
        await until(lambda: bool(worker_pool.running))
        away = True
        await controller.cancel("opt-1")
        await until(lambda: not worker_pool.running)
        assert any("writing the events of opt-1" in fault for fault in controller.faults())
        away = False
        await over(controller, "opt-1", "cancelled")
    assert kinds(tmp_path, "opt-1")[-2:] == ["job.cancelling", "job.cancelled"]


async def test_a_job_that_could_not_be_resumed_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(worker_pool: WorkerPool, work: Work) -> Outcome:
        return Outcome("failed", code="DataError", message="The data is gone.")

    async with running_controller(tmp_path, fails, backoff=QUICK) as (controller, worker_pool):
        await controller.create(filed("opt-1"), FREE)
        await over(controller, "opt-1", "failed")
        await until(lambda: not controller.job_table.attended)
        with monkeypatch.context() as patch:
            patch.setattr(
                controller_module.StateSaver, "save", Broken(lambda *given: None, 1, StorageError)
            )
            with pytest.raises(StorageError):
                await controller.resume("opt-1", FREE)
        await asyncio.sleep(0.1)
        assert (controller.get("opt-1").status, len(worker_pool.works)) == ("failed", 1)


async def test_models_that_jobs_have_hosted_go_with_the_last_of_them_and_those_of_others_stay(
    tmp_path: Path,
) -> None:
    async def hosts(worker_pool: WorkerPool, work: Work) -> Outcome:
        assert worker_pool.controller
        await worker_pool.controller.claim_models(work.filed.id, work.run, ["theirs", "variant"])
        worker_pool.hosted |= {"theirs", "variant"}
        return await until_stopped(worker_pool, work)

    async with running_controller(tmp_path, hosts, backoff=QUICK) as (controller, worker_pool):
        worker_pool.hosted.add("theirs")
        for id in ("opt-1", "opt-2"):
            await controller.create(filed(id), FREE)
        await until(
            lambda: all(
                machine.state.hosted == ["variant"]
                for machine in controller.job_table.machines.values()
            )
        )
        await controller.cancel("opt-1")
        await over(controller, "opt-1", "cancelled")
        await until(lambda: controller.job_table.machines["opt-1"].state.hosted == [])
        assert worker_pool.hosted == {"theirs", "variant"}, "the other job uses it"
        await until(lambda: Store(str(tmp_path)).state("opt-2").hosted == ["variant"])

    async with running_controller(tmp_path, one_trial, backoff=QUICK) as (
        controller,
        worker_pool,
    ):  # the next controller knows it too
        worker_pool.hosted = {"theirs", "variant"}
        await over(controller, "opt-2")
        await until(lambda: worker_pool.hosted == {"theirs"})


class Method:
    """A method of an actor, as Ray gives it."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self._work = work

    def remote(self, *given: Any) -> "asyncio.Future[Any]":
        return asyncio.ensure_future(self._work(*given))


class Process:
    """A worker's process that hangs in its start, while it runs a job, or raises what nobody
    expected.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._asked = 0
        self.alive, self.run, self.stop = (
            Method(self._alive),
            Method(self._run),
            Method(self._alive),
        )

    async def _alive(self, *given: Any) -> bool:
        self._asked += 1
        if self._kind == "start" or (self._kind == "run" and self._asked > 2):
            await asyncio.Event().wait()
        return True

    async def _run(self, work: Work, controller: Any) -> Outcome:
        if self._kind == "raises":
            raise Injected("injected")
        if self._kind == "memory":
            raise OutOfMemoryError("the node ran out of memory")
        if self._kind != "well":
            await asyncio.Event().wait()
        return Outcome("ended")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("start", "did not start within"),
        ("run", "did not answer within"),
        ("memory", "OutOfMemoryError"),
        ("raises", "injected"),
        ("well", ""),
    ],
)
async def test_a_process_that_says_nothing_is_ended_and_never_used_again(
    tmp_path: Path, kind: str, reason: str
) -> None:
    ended: list[Any] = []
    worker_pool = RayWorkerPool(
        ServiceSettings(storage=str(tmp_path)),
        None,
        ended.append,
        starts_within_s=0.2,
        silent_s=0.1,
    )
    process = Process(kind)
    worker_pool._new = lambda: process  # type: ignore[method-assign]
    running = worker_pool.run(Work(filed("opt-1"), 1))
    if kind == "well":
        assert (await asyncio.wait_for(running, 10)).kind == "ended"
    else:
        with pytest.raises((Lost, Injected), match=reason):
            await asyncio.wait_for(running, 10)
    assert (ended, worker_pool._idle) == (([], [process]) if kind == "well" else ([process], []))
    assert [worker for worker, _ in worker_pool._running.values()] == []


async def test_a_supervised_task_begins_anew_with_growing_pauses_and_is_seen() -> None:
    tasks, began = Supervisor("the test", Backoff(0.01, 0.04)), list[float]()

    async def work() -> None:
        began.append(time.monotonic())
        if len(began) < 5:
            raise Injected("injected")

    running = tasks.until_done("a task", work)
    await until(lambda: len(began) == 2)
    assert "the test: a task fails" in tasks.faults()[0]
    assert "(Injected: injected)." in tasks.faults()[0]
    await asyncio.wait_for(running, 10)
    pauses = [after - before for before, after in itertools.pairwise(began)]
    assert [
        pause >= least for pause, least in zip(pauses, (0.01, 0.02, 0.04, 0.04), strict=True)
    ] == [True] * 4
    assert tasks.faults() == []
    heard: list[Exception] = []
    await tasks.once("another", Broken(work, 1), heard.append)
    assert [str(problem) for problem in heard] == ["injected"]
    assert [fault.task for fault in tasks.recent] == ["a task"] * 4 + ["another"]
    await tasks.close()
