"""Backends of one service on a real Ray: they agree, show each owner the own jobs, and a probe's
answers are not paid for again.
"""

import asyncio
import json
import os
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

import cluster.service.backends.estimates as task_estimate
from cluster.service.backends.ray import RayBackend
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Busy, NotFound, Unavailable
from cluster.service.core.settings import ServiceSettings
from cluster.service.schemas import OptimizationRequest
from optimizer.candidate import Round
from optimizer.errors import SettingsError
from tests.unit.cluster.service.requests import request

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ANN, BOB, ROOT = Principal("ann"), Principal("bob"), Principal("root", admin=True)


async def test_backends_agree_and_a_job_begins_with_what_its_probe_has_paid(
    local_ray: None, tmp_path: Path
) -> None:
    service = ServiceSettings(storage=str(tmp_path), running=1)
    backend, other = RayBackend(service), RayBackend(service)
    asked = OptimizationRequest.model_validate(request(selection={"name": "full"}))
    guess = await backend.estimate(ANN, asked, probe=False)
    assert (guess.trials, guess.measured, guess.can_pay, guess.tasks[0].items["dev"]) == (
        1,
        False,
        None,
        10,
    )
    seen = await backend.estimate(ANN, asked, probe=True)
    assert (seen.measured, seen.can_pay) == (True, seen.tasks[0].can_pay)
    assert (await other.estimate(ANN, asked, probe=False)).measured, (
        "what was measured is known to the next who asks"
    )

    with pytest.raises(SettingsError, match="builtin:target"):
        await backend.create(ANN, asked.model_copy(update={"target": "builtin:none"}))
    job = await backend.create(ANN, asked, "key")
    assert (await other.create(ANN, asked, "key")).id == job.id
    async with aclosing(other.follow(ANN, job.id, 0)) as events:
        heard = [event async for event in events]
    assert heard == await backend.events(ANN, job.id, 0, 100)
    assert heard[2:4] == await backend.events(ROOT, job.id, 2, 2)
    done = await other.get(ANN, job.id)
    assert (done.status, done.trials_done, done.last_event) == ("succeeded", 1, len(heard))
    assert done.usage.ledger_hits > 0, "the baseline on the dev split was asked by the probe"

    for question in (
        backend.get(BOB, job.id),
        backend.cancel(BOB, job.id),
        backend.results(BOB, job.id),
        backend.get(ANN, "opt-0"),
    ):
        with pytest.raises(NotFound):
            await question
    assert (await backend.get(ROOT, job.id)).id == job.id
    assert [
        [one.id for one in (await backend.page(who, None, 5)).data] for who in (ANN, BOB, ROOT)
    ] == [[job.id], [], [job.id]]
    assert (await backend.page(ROOT, None, 5, status="failed")).data == []
    assert (await backend.page(ROOT, None, 5, owner="bob")).data == []
    assert (await backend.settings(ANN, job.id)).out == (await backend.results(ANN, job.id)).place
    rounds = sorted((tmp_path / "optimizations" / job.id / "results" / "rounds").glob("*/*.json"))
    assert [Round.from_json(json.loads(file.read_text())).number for file in rounds] == [0, 1, 2]


async def test_probes_are_bounded_and_leave_no_process_behind(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probed(request: Any, service: Any, share: Any = None) -> Any:
        (tmp_path / str(os.getpid())).touch()
        return request if request == "at once" else time.sleep(3600)

    monkeypatch.setattr(task_estimate, "probed", probed)

    def probes_of(probe_s: float) -> task_estimate.Probes:
        work = {"probe_s": probe_s, "probes_at_once": 2, "waiting_per_owner": 1}
        return task_estimate.Probes(
            ServiceSettings.model_validate({"storage": str(tmp_path), "work": work})
        )

    def pids() -> list[int]:
        return [int(file.name) for file in tmp_path.iterdir()]

    async def gone() -> None:
        async with asyncio.timeout(60):
            while any(psutil.pid_exists(pid) for pid in pids()):
                await asyncio.sleep(0.05)

    assert await probes_of(120.0).run("ann", "at once") == "at once"  # type: ignore[arg-type, comparison-overlap]
    await gone()
    probes = probes_of(2.0)
    asked = [
        asyncio.create_task(probes.run(owner, "for ever")) for owner in ("ann", "ann", "ann", "bob")
    ]  # type: ignore[arg-type]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends] == [Unavailable, Unavailable, Busy, Unavailable]
    await gone()
    leaving = asyncio.create_task(probes.run("ann", "for ever"))  # type: ignore[arg-type]
    await asyncio.sleep(0.5)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await gone()
    assert len(pids()) >= 1
