"""Several processes on a real Ray keep to one endpoint's gate together, without a call of its
actor for each of theirs.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import ray
from ray.exceptions import RayError

from serving.concurrency.fair_share import SILENT_S
from serving.concurrency.gate_actor import endpoint_actor, endpoint_actors, endpoint_gate
from serving.models import open_in_process
from serving.settings import OpenAISettings
from tests.contracts.endpoint_callers import CallingProcess
from tests.unit.serving.raw_endpoint import RawEndpoint

pytestmark = pytest.mark.ray
CALLERS, CALLS, MOST = 3, 60, 6


@pytest.fixture
async def endpoint() -> AsyncIterator[RawEndpoint]:
    started = RawEndpoint(delay_s=0.05)
    await started.start()
    yield started
    await started.stop()


def known(endpoint: RawEndpoint) -> dict[str, Any]:
    return {"model": "m", "base_url": endpoint.base_url, "max_in_flight": MOST}


@pytest.fixture(scope="module")
def callers(local_ray: None) -> list[Any]:
    """Processes that all tests here use: each call of theirs makes a client of its own. The last
    test kills one.
    """
    return [ray.remote(CallingProcess).options(num_cpus=0).remote() for _ in range(CALLERS)]


async def calls_of(processes: list[Any], endpoint: RawEndpoint) -> list[tuple[int, str]]:
    return await asyncio.gather(
        *(
            process.call.remote(known(endpoint), f"caller-{number}", CALLS)
            for number, process in enumerate(processes)
        )
    )


async def test_all_processes_together_keep_to_the_limit_and_each_has_its_share(
    callers: list[Any], endpoint: RawEndpoint
) -> None:
    with endpoint_actors([endpoint.base_url, endpoint.base_url]):
        assert await calls_of(callers, endpoint) == [(CALLS, "SharedGate")] * CALLERS
    assert len(endpoint.asked) == CALLERS * CALLS
    assert 4 <= endpoint.peak <= MOST
    middle = Counter(
        asked.text.split()[0]
        for asked in endpoint.asked[len(endpoint.asked) // 4 : len(endpoint.asked) // 2]
    )
    assert len(middle) >= 2, "they take turns, and do not follow each other"


async def test_an_actor_that_dies_in_the_middle_stops_nobody(
    callers: list[Any], endpoint: RawEndpoint
) -> None:
    actor = endpoint_actor(endpoint.base_url)
    running = asyncio.create_task(calls_of(callers, endpoint))
    while len(endpoint.asked) < CALLS // 2 and not running.done():
        await asyncio.sleep(0.01)
    ray.kill(actor)
    assert await asyncio.wait_for(running, 120) == [(CALLS, "SharedGate")] * CALLERS
    assert len(endpoint.asked) == CALLERS * CALLS


async def test_a_process_that_stands_still_keeps_its_places_and_one_that_is_killed_does_not(
    callers: list[Any],
    endpoint: RawEndpoint,
) -> None:
    with endpoint_actors([endpoint.base_url]):
        stopped, other = callers[:2]
        pid = await stopped.pid.remote()
        endpoint.delay_s = 60.0
        held = stopped.call.remote(known(endpoint), "stopped", MOST)
        async with asyncio.timeout(60):
            while endpoint.in_flight < MOST:
                await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGSTOP)
        endpoint.delay_s = 0.0
        running = asyncio.ensure_future(other.call.remote(known(endpoint), "other", 12))
        await asyncio.sleep(SILENT_S + 2.0)
        assert len(endpoint.asked) == MOST, "its calls may still be under way"
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.wait_for(running, 60) == (12, "SharedGate")
        with pytest.raises(RayError):
            await held


def test_without_ray_or_in_process_the_gate_is_the_clients_own(local_ray: None) -> None:
    model: Any = open_in_process(OpenAISettings(model="m", base_url="http://127.0.0.1:9/v1"))
    assert type(model._limiter.gate).__name__ == "AdaptiveGate"
    assert endpoint_gate("http://127.0.0.1:9/v1", "m", 4) is not None
