"""How many of a job's trials have ended, and how many calls are under way: counted as they are, and
unknown where nobody knows.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.service.core.job_record import State, job_answer
from cluster.service.core.settings import ServiceSettings
from cluster.service.core.worker_pool import Outcome, Work
from cluster.service.jobs import controller as controller_module
from cluster.service.jobs.run_updates import Ended, Sized, Spent, Started
from cluster.service.jobs.worker_pool import RayWorkerPool
from cluster.text.formatting import format_trial_counts
from serving.concurrency.fair_share import Use
from tests.unit.cluster.service.running_controller import (
    FREE,
    WorkerPool,
    filed,
    over,
    running_controller,
    until,
    until_stopped,
)


@pytest.mark.parametrize(
    ("status", "by_trial", "done", "told"),
    [
        ("cancelled", {}, 0, "0 of 2 trials finished, 2 cancelled"),
        (
            "cancelled",
            {"a": "stopped", "b": "stopped"},
            0,
            "0 of 2 trials finished, 2 cancelled",
        ),  # of an earlier version
        (
            "cancelled",
            {"a": "finished", "b": "running"},
            1,
            "1 of 2 trials finished, 1 cancelled",
        ),  # its process was ended
        ("cancelled", {"a": "budget", "b": "cancelled"}, 1, "1 of 2 trials finished, 1 cancelled"),
        ("failed", {"a": "failed"}, 1, "0 of 2 trials finished, 1 failed, 1 not run to its end"),
        ("succeeded", {"a": "pruned", "b": "finished"}, 2, "1 of 2 trials finished, 1 pruned"),
        ("running", {"a": "running"}, 0, "0 of 2 trials finished, 1 running, 1 waiting"),
        (
            "running",
            {"a": "failed", "b": "running"},
            1,
            "0 of 2 trials finished, 1 failed, 1 running",
        ),
        ("cancelling", {"a": "running"}, 0, "0 of 2 trials finished, 1 running, 1 waiting"),
        ("queued", {"a": "cancelled", "b": "finished"}, 1, "1 of 2 trials finished, 1 waiting"),
    ],
)
def test_what_was_cancelled_is_not_done(
    status: Any, by_trial: dict[str, str], done: int, told: str
) -> None:
    job = job_answer(filed("opt-1"), State(status=status, trials=2, status_by_trial=by_trial), 1)
    assert (job.trials_done, job.trials_told) == (done, told)


def test_a_job_of_which_nobody_knows_how_many_trials_it_has_says_so() -> None:
    job = job_answer(filed("opt-1"), State(status="cancelled"), 1)
    assert (job.trials_done, job.trials, job.trials_told) == (0, 0, "no trial was started")
    assert (
        job_answer(filed("opt-1"), State(status="queued"), 1).trials_told
        == "no trial was started yet"
    )


def test_the_same_words_on_the_console() -> None:
    told = format_trial_counts(["finished", "budget", "failed", "stopped"], 5)
    assert told == "2 of 5 trials finished, 1 failed, 1 interrupted, 1 waiting"
    assert format_trial_counts([], 1) == "0 of 1 trial finished, 1 waiting"


async def test_a_job_that_is_cancelled_while_it_runs_has_no_trial_done(tmp_path: Path) -> None:
    async def two_trials(worker_pool: WorkerPool, work: Work) -> Outcome:
        worker_pool.tell(work, Sized(2))
        worker_pool.tell(work, Started("a"))
        worker_pool.tell(work, Ended("a", Spent(5), "cancelled", "", 0.5, {"status": "cancelled"}))
        await worker_pool.stopped[work.filed.id].wait()
        return Outcome("stopped", statuses={"a": "cancelled", "b": "cancelled"})

    async with running_controller(tmp_path, two_trials) as (controller, _):
        await controller.create(filed("opt-1"), FREE)
        await until(lambda: controller.get("opt-1").trials == 2)
        await controller.cancel("opt-1")
        await over(controller, "opt-1", "cancelled")
        job = controller.get("opt-1")
        assert (job.trials_done, job.trials_told) == (0, "0 of 2 trials finished, 2 cancelled")


class EndpointActor:
    """The actor of an endpoint, in this process."""

    def __init__(self, use: Use | None) -> None:
        self.use, self._use = self, use

    async def remote(self) -> Use:
        if self._use is None:
            raise ray.exceptions.RayActorError
        return self._use


async def in_flight(*uses: Use | None) -> Any:
    worker_pool = RayWorkerPool(ServiceSettings(), None)
    worker_pool._gate_by_name = {str(place): EndpointActor(use) for place, use in enumerate(uses)}
    return await worker_pool.in_flight()


async def test_calls_under_way_are_counted_over_all_models() -> None:
    uses = Use(8, {("ann", "opt-1"): 3, ("bob", "opt-2"): 1, (): 5}), Use(4, {("ann", "opt-1"): 2})
    assert await in_flight(*uses) == {"opt-1": 5, "opt-2": 1}


async def test_a_job_whose_calls_were_not_reported_yet_has_no_count_of_0() -> None:
    """Its first report says what it is about to send; and where no report came through, a gate
    knows of no job at all.
    """
    asks, busy = ("ann", "opt-1"), ("ann", "opt-2")
    assert await in_flight(Use(8, {asks: 0, busy: 2}, {asks: 24, busy: 2}), Use(4)) == {"opt-2": 2}
    assert await in_flight(Use(8, {asks: 0}, {asks: 24}), Use(8, {asks: 3}, {asks: 3})) == {}, (
        "3 of one model are not all"
    )


async def test_where_a_model_does_not_say_how_many_calls_are_under_way_nobody_knows() -> None:
    assert await in_flight(Use(8, {("ann", "opt-1"): 3}), None) is None


async def test_a_running_job_whose_calls_nobody_has_counted_has_an_unknown_number_and_one_that_waits_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown() -> None:
        return None

    async def nothing_reported() -> dict[str, int]:
        return {}

    monkeypatch.setattr(controller_module, "SAVE_EVERY_S", 0.02)
    async with running_controller(tmp_path, until_stopped, running=1) as (controller, worker_pool):
        await controller.create(filed("opt-1"), FREE)
        await controller.create(filed("opt-2"), FREE)
        await until(lambda: controller.get("opt-1").in_flight == 3)
        assert controller.get("opt-2").in_flight == 0
        worker_pool.in_flight = unknown  # type: ignore[method-assign,assignment]
        await until(lambda: controller.get("opt-1").in_flight is None)
        worker_pool.in_flight = nothing_reported  # type: ignore[method-assign]
        await asyncio.sleep(0.1)
        assert controller.get("opt-1").in_flight is None
        await controller.cancel("opt-1")
        await over(controller, "opt-1", "cancelled")
        assert controller.get("opt-1").in_flight == 0
