"""Whatever is killed in mid-job, the job stays the same, its events keep their numbers, and it ends
as one that nobody touched. The head, and the replicas of the API, are killed in test_up_killed.py.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import ray

from cluster.results import read_trials
from cluster.service.backends.ray import RayBackend
from cluster.service.core.backend import Principal
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from cluster.service.jobs.controller_actor import open_controller
from cluster.service.schemas import Event, Optimization, OptimizationRequest
from serving.ledger.store import Ledger
from serving.storage import open_folder
from tests.unit.cluster.service.requests import LONGER, request

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(240)]
ANN = Principal("ann")
REQUEST = OptimizationRequest.model_validate(request(**LONGER))


@pytest.fixture(scope="module")
def storage(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    """One service for all tests here; its processes are used again."""
    return ServiceSettings(storage=str(tmp_path_factory.mktemp("service")), running=2)


def worker_pids(storage: ServiceSettings) -> list[int]:
    """Of the processes that run jobs now."""
    workers = ray.get(
        open_controller(storage).__ray_call__.remote(
            lambda actor: [worker for worker, _ in actor._worker_pool._running.values()]
        )
    )
    return ray.get([worker.warm.remote() for worker in workers])


@pytest.fixture
def backend(storage: ServiceSettings) -> RayBackend:
    return RayBackend(storage)


@pytest.fixture(scope="module")
def undisturbed(storage: ServiceSettings) -> Path:
    """The results of the job when nobody touches it."""
    return asyncio.run(_undisturbed(storage))


async def _undisturbed(storage: ServiceSettings) -> Path:
    backend = RayBackend(storage)
    job = await backend.create(ANN, REQUEST)
    events = [event async for event in backend.follow(ANN, job.id, 0)]
    assert events[-1].kind == "job.succeeded", events[-1]
    return results(storage, job.id)


def results(storage: ServiceSettings, id: str) -> Path:
    return Path(storage.storage) / "optimizations" / id / "results"


def tables(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in ("trials.parquet", "candidates.parquet")]


def answers(out: Path) -> int:
    return len(Ledger.read_only(out / "ledger"))


async def killed(
    backend: RayBackend, kills: list[Callable[[], None]]
) -> tuple[Optimization, list[Event]]:
    """A job that is hit once at the end of each of its first rounds: how it ended, and what a
    listener has heard who was there all the time.
    """
    job = await backend.create(ANN, REQUEST)
    heard, left = list[Event](), list(kills)
    async with aclosing(_listening(backend, job.id)) as events:
        async for event in events:
            heard.append(event)
            if event.kind == "trial.round" and left:
                left.pop(0)()
    assert not left
    return await backend.get(ANN, job.id), heard


def _listening(backend: RayBackend, id: str) -> AsyncIterator[Event]:
    return backend.follow(ANN, id, 0)


async def expect_undisturbed(
    backend: RayBackend,
    storage: ServiceSettings,
    job: Optimization,
    heard: list[Event],
    undisturbed: Path,
) -> None:
    out = results(storage, job.id)
    assert job.status == "succeeded", job.error
    assert job.runs == 3, "it was hit twice while it ran"
    assert heard == await backend.events(ANN, job.id, 0, 1000), (
        "what was heard is what stands there"
    )
    assert [event.id for event in heard] == list(range(1, len(heard) + 1))
    rounds = [event.data["round"] for event in heard if event.kind == "trial.round"]
    assert rounds == sorted(set(rounds)), "no round is told twice"
    assert tables(out) == tables(undisturbed)
    assert answers(out) == answers(undisturbed)
    assert {path.name for path in (out / "rounds").glob("*/*")} == {
        path.name for path in (undisturbed / "rounds").glob("*/*")
    }


async def test_a_killed_worker_and_then_a_killed_controller_change_nothing(
    backend: RayBackend, storage: ServiceSettings, undisturbed: Path
) -> None:
    def kill_worker() -> None:
        (pid,) = worker_pids(storage)
        os.kill(pid, signal.SIGKILL)

    def kill_controller() -> None:
        os.kill(ray.get(open_controller(storage).open.remote()), signal.SIGKILL)

    job, heard = await killed(backend, [kill_worker, kill_controller])
    await expect_undisturbed(backend, storage, job, heard, undisturbed)


async def test_two_jobs_and_a_killed_one_never_pass_their_owners_quota_together(
    storage: ServiceSettings, undisturbed: Path
) -> None:
    """Each is tested all the same, and says why its search ended."""
    bob, quota = Principal("bob"), QuotaSettings(calls_a_day=round(1.4 * answers(undisturbed)))
    backend = RayBackend(storage, lambda owner: quota)
    jobs = [await backend.create(bob, REQUEST) for _ in range(2)]
    async with aclosing(backend.follow(bob, jobs[0].id, 0)) as events:
        async for event in events:
            if event.kind == "trial.round":
                os.kill(worker_pids(storage)[0], signal.SIGKILL)
                break
    ends = [[event async for event in backend.follow(bob, job.id, 0)][-1] for job in jobs]
    paid = sum(answers(results(storage, job.id)) for job in jobs)
    assert [end.kind for end in ends] == ["job.succeeded"] * 2, ends
    assert any("Your quota of" in end.message for end in ends)
    assert paid <= (await backend.quota(bob))["calls_today"] <= (quota.calls_a_day or 0)
    for job in jobs:
        assert all(trial.test_items for trial in read_trials(open_folder(results(storage, job.id))))


async def test_a_cancelled_job_is_resumed_with_the_same_result_and_pays_for_nothing_twice(
    backend: RayBackend, storage: ServiceSettings, undisturbed: Path
) -> None:
    job = await backend.create(ANN, REQUEST)
    async with aclosing(_listening(backend, job.id)) as events:
        async for event in events:
            if event.kind == "trial.round":
                assert (await backend.cancel(ANN, job.id)).status == "cancelling"
                break
    assert [event.kind async for event in backend.follow(ANN, job.id, 0)][-1] == "job.cancelled"
    assert (await backend.get(ANN, job.id)).status == "cancelled"
    out = results(storage, job.id)
    kept = answers(out)
    assert 0 < kept < answers(undisturbed)
    paid = (await backend.quota(ANN))["calls_today"]
    await backend.resume(ANN, job.id)
    assert [event.kind async for event in backend.follow(ANN, job.id, 0)][-1] == "job.succeeded"
    assert tables(out) == tables(undisturbed)
    assert (await backend.quota(ANN))["calls_today"] - paid == answers(out) - kept, (
        "only what was missing"
    )
