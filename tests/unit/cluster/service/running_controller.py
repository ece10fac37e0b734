"""A controller with a worker pool that plays its runs in this process, and what is asked of it
again and again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cluster.service.core.job_record import Filed, Spent
from cluster.service.core.settings import QuotaSettings
from cluster.service.core.worker_pool import Outcome, Work
from cluster.service.jobs.controller import JobController
from cluster.service.jobs.run_updates import Ended, Moved, Rounded, Sized, Started
from cluster.service.schemas import OptimizationRequest
from cluster.service.stores.job_store import Store
from tests.contracts.hurry import hurried_controller
from tests.unit.cluster.service.requests import request

FREE = QuotaSettings()
Play = Callable[["WorkerPool", Work], Awaitable[Outcome]]


class WorkerPool:
    """Plays each run by `play`; `tell` reports as a worker does."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self.controller: JobController | None = None
        self.works: list[Work] = []
        self.running: set[str] = set()
        self.most_at_once = 0
        self.stopped: dict[str, asyncio.Event] = {}
        self.gate = asyncio.Event()
        self.hosted: set[str] = set()
        """Deployments on the cluster."""

    async def run(self, work: Work) -> Outcome:
        self.works.append(work)
        self.running.add(work.filed.id)
        self.most_at_once = max(self.most_at_once, len(self.running))
        self.stopped[work.filed.id] = asyncio.Event()
        try:
            return await self._play(self, work)
        finally:
            self.running.discard(work.filed.id)

    async def stop(self, job: str) -> None:
        if job in self.stopped:
            self.stopped[job].set()

    async def kill(self, job: str) -> None:
        """As `stop`: what plays a run here follows."""
        await self.stop(job)

    async def on_cluster(self, deployments: Collection[str]) -> set[str]:
        return set(deployments) & self.hosted

    async def release(self, deployments: Collection[str]) -> set[str]:
        self.hosted -= set(deployments)
        return set(deployments)

    async def in_flight(self) -> Mapping[str, int]:
        return dict.fromkeys(self.running, 3)

    def tell(self, work: Work, news: Any) -> None:
        assert self.controller
        self.controller.report(work.filed.id, work.run, news)


async def one_trial(
    worker_pool: WorkerPool, work: Work, rounds: int = 2, paid: int = 10
) -> Outcome:
    worker_pool.tell(work, Sized(1))
    worker_pool.tell(work, Started("t"))
    for number in range(rounds):
        round_of(worker_pool, work, number, paid * (number + 1))
        await asyncio.sleep(0)
    spent = Spent(paid * rounds, 0, 0, {"learn": paid * rounds})
    worker_pool.tell(
        work,
        Ended(
            "t", spent, "finished", "", 0.9, {"status": "finished", "test_accuracy": 0.8}, "easy"
        ),
    )
    return Outcome("ended", statuses={"t": "finished"})


def round_of(worker_pool: WorkerPool, work: Work, number: int, calls: int) -> None:
    worker_pool.tell(work, Moved("t", Spent(calls), ""))
    data = {"round": number, "dev_accuracy": 0.5 + number / 10, "best": f"c{number}"}
    worker_pool.tell(work, Rounded("t", Spent(calls), data, number > 0, "easy"))


async def until_stopped(worker_pool: WorkerPool, work: Work) -> Outcome:
    """Runs until it is stopped, or its gate opens."""
    worker_pool.tell(work, Sized(1))
    worker_pool.tell(work, Started("t"))
    round_of(worker_pool, work, 0, 10)
    waits = [
        asyncio.ensure_future(worker_pool.stopped[work.filed.id].wait()),
        asyncio.ensure_future(worker_pool.gate.wait()),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if worker_pool.gate.is_set():
        return await one_trial(worker_pool, work)
    return Outcome("stopped", statuses={"t": "stopped"})


@asynccontextmanager
async def running_controller(
    place: Path, play: Play, running: int = 2, **how: Any
) -> AsyncIterator[tuple[JobController, WorkerPool]]:
    worker_pool = WorkerPool(play)
    controller = worker_pool.controller = JobController(str(place), running, worker_pool, **how)
    with hurried_controller():
        await controller.open(0.5)
        try:
            yield controller, worker_pool
        finally:
            await controller.close()


def filed(id: str, owner: str = "ann", key: str | None = None) -> Filed:
    return Filed(id, 0, owner, 1, OptimizationRequest.model_validate(request()), key)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def over(controller: JobController, id: str, status: str = "succeeded") -> None:
    await until(lambda: controller.get(id).status == status)


def kinds(place: Path, id: str) -> list[str]:
    return [event.kind for event in Store(str(place)).events(id)]
