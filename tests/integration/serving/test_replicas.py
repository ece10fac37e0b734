"""Replicas come, go, die and share the work on a real Ray, and no call is lost or answered wrongly."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray import serve

from optimizer.types import Completion, Message, Request
from serving.clients.serve_model import ServeHandleModel
from serving.hosting.deployment import host
from serving.settings import Routing, Scaling
from tests.contracts.client_contract import ask
from tests.contracts.scripted_hosting import ScriptedSettings, load
from tests.contracts.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


@pytest.fixture
def hosted() -> Iterator[Callable[[ScriptedSettings], str]]:
    """Hosts a model for one test, and gives its deployment's name."""
    names: list[str] = []

    def start(model: ScriptedSettings) -> str:
        names.extend(host([model], load))
        return names[-1]

    yield start
    for name in names:
        serve.delete(name, _blocking=False)


def running(deployment: str) -> int:
    return (
        serve.status()
        .applications[deployment]
        .deployments[deployment]
        .replica_states.get("RUNNING", 0)
    )


def busy(gate: Path) -> list[int]:
    """The processes of the calls that have come to the gate, one entry a call."""
    return [int(mark.name.split("-")[1]) for mark in gate.glob("busy-*")]


def open_gate(gate: Path) -> None:
    (gate / "open").touch()


async def test_replicas_follow_the_load_up_and_down_to_none(
    hosted: Callable[[ScriptedSettings], str], tmp_path: Path
) -> None:
    scaling = Scaling(
        min=0,
        max=2,
        target_ongoing_chunks=2,
        upscale_delay_s=0,
        downscale_delay_s=0,
        to_zero_delay_s=3,
        look_back_s=10.1,
    )
    model = ScriptedSettings("scripted:elastic", "scripted:elastic@1", scaling, gate=str(tmp_path))
    name = await asyncio.to_thread(hosted, model)
    assert await asyncio.to_thread(running, name) == 0
    callers = [ServeHandleModel(name, model.identity, chunk=8, max_in_flight=4) for _ in range(3)]
    work = [
        asyncio.create_task(caller.complete([ask(f"{number}") for number in range(32)]))
        for caller in callers
    ]
    await until(lambda: running(name) == 2)
    open_gate(tmp_path)
    for outcomes in await asyncio.gather(*work):
        assert outcomes == [Completion(f"8 heard {number}") for number in range(32)]
    await until(lambda: running(name) == 1)
    await until(lambda: running(name) == 0)
    assert await callers[0].complete([ask("again")]) == [Completion("1 heard again")]


async def test_killing_a_replica_loses_no_call(
    hosted: Callable[[ScriptedSettings], str], tmp_path: Path
) -> None:
    model = ScriptedSettings(
        "scripted:killed", "scripted:killed@1", Scaling.fixed(2), gate=str(tmp_path)
    )
    name = await asyncio.to_thread(hosted, model)
    client = ServeHandleModel(name, model.identity, chunk=8, max_in_flight=6)
    work = asyncio.create_task(client.complete([ask(f"{number}") for number in range(48)]))
    await until(lambda: len(busy(tmp_path)) == 6)  # all are in the middle of it, and none can end
    victim = busy(tmp_path)[0]
    lost = busy(tmp_path).count(victim)
    os.kill(victim, signal.SIGKILL)
    await until(lambda: len(busy(tmp_path)) == 6 + lost)  # asked again, elsewhere
    open_gate(tmp_path)
    assert await work == [Completion(f"8 heard {number}") for number in range(48)]
    assert len(busy(tmp_path)) == 6 + lost
    await until(lambda: running(name) == 2)


def of_prompt(number: int, count: int) -> list[Request]:
    return [
        Request((Message("system", f"Prompt {number}."), Message("user", "process")))
        for _ in range(count)
    ]


@pytest.mark.parametrize("routing", ["affine", "balanced"])
async def test_where_the_chunks_of_a_prompt_go(
    hosted: Callable[[ScriptedSettings], str], tmp_path: Path, routing: Routing
) -> None:
    name = f"scripted:{routing}"
    model = ScriptedSettings(
        name,
        f"{name}@1",
        Scaling(min=2, max=2, target_ongoing_chunks=80),
        routing,
        gate=str(tmp_path),
    )
    client = ServeHandleModel(
        await asyncio.to_thread(hosted, model), model.identity, 8, 128, affine=routing == "affine"
    )
    requests = [
        request for number in range(40) for request in of_prompt(number, 9)
    ]  # a full chunk and one over, each
    work = asyncio.create_task(client.complete(requests))
    chunks = 40 + 40 if routing == "affine" else 40 + 40 // 8
    await until(lambda: len(busy(tmp_path)) == chunks)
    open_gate(tmp_path)
    processes = [outcome.text for outcome in await work if isinstance(outcome, Completion)]
    per_prompt = [len(set(processes[at : at + 9])) for at in range(0, 360, 9)]
    assert len(processes) == len(requests)
    assert len(set(processes)) == 2
    assert (set(per_prompt) == {1}) is (routing == "affine")
