"""Work in processes that can be killed: endless, greedy and broken work ends in a sentence, alone,
and leaves no process behind.
"""

import asyncio
import os
import pickle
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from cluster.service.core.errors import Busy, Unavailable
from cluster.service.core.settings import WorkSettings
from cluster.service.stores.check_pool import CheckPool, CheckServer
from cluster.service.stores.check_server import framed, unframed
from optimizer.errors import DataError, PromptrayError, SettingsError
from tests.contracts import endless

pytestmark = pytest.mark.process
SLOW_S = 20.0
"""For what takes milliseconds on a quiet machine."""


@pytest.fixture(scope="module")
def server() -> Iterator[CheckServer]:
    server = CheckServer(["tests.contracts.endless"])
    yield server
    server.kill()


def pool(server: CheckServer, **changes: Any) -> CheckPool:
    return CheckPool(WorkSettings.model_validate({"check_s": 0.4} | changes), server)


def children(pid: int | None) -> list[int]:
    """Of a process, zombies included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


async def none_left(server: CheckServer) -> None:
    async with asyncio.timeout(SLOW_S):
        while children(server.pid):
            await asyncio.sleep(0.01)


async def test_work_gives_what_it_returns_and_what_it_raises(server: CheckServer) -> None:
    checks = pool(server, check_s=SLOW_S)
    first, second = [await checks.run("ann", endless.pid) for _ in range(2)]
    assert len({first, second, server.pid, os.getpid()}) == 4
    assert await checks.run("ann", endless.large, 3_000_000) == "x" * 3_000_000
    with pytest.raises(DataError, match="a sentence"):
        await checks.run("ann", endless.refuse, "a sentence")
    for broken in (endless.fail, endless.die, endless.leave):
        with pytest.raises(Unavailable) as caught:
            await checks.run("ann", broken)
        assert "secret" not in str(caught.value)
    await none_left(server)


@pytest.mark.parametrize("work", [endless.regex, endless.sleep])
async def test_endless_work_is_stopped_and_answered_in_a_sentence(
    server: CheckServer, work: Any
) -> None:
    began = time.monotonic()
    with pytest.raises(SettingsError, match=r"took more than 0\.4 s and was stopped"):
        await pool(server).run("ann", work)
    assert time.monotonic() - began < SLOW_S
    await none_left(server)


async def test_work_that_takes_too_much_memory_is_stopped(server: CheckServer) -> None:
    with pytest.raises(SettingsError, match="64 MiB of memory and was stopped"):
        await pool(server, check_s=SLOW_S, check_bytes=64 * 2**20).run("ann", endless.memory)
    await none_left(server)


async def test_forty_endless_checks_of_one_owner_keep_nobody_else_waiting(
    server: CheckServer,
) -> None:
    checks = pool(server, check_s=SLOW_S, waiting_per_owner=10)
    await checks.run("bob", endless.pid)
    attack = [asyncio.create_task(checks.run("ann", endless.regex)) for _ in range(40)]
    try:
        done, waiting = await asyncio.wait(attack, timeout=0.3)
        assert len(waiting) == 2 + 10
        assert {type(one.exception()) for one in done} == {Busy}
        began = time.monotonic()
        await checks.run("bob", endless.pid)
        assert time.monotonic() - began < 1.0
    finally:
        for one in attack:
            one.cancel()
        await asyncio.gather(*attack, return_exceptions=True)
    await none_left(server)  # a caller that leaves takes the work along


async def test_a_server_that_dies_is_started_again_and_takes_its_children_along(
    server: CheckServer,
) -> None:
    checks = pool(server, check_s=SLOW_S)
    await checks.open()
    under_way = asyncio.create_task(checks.run("ann", endless.sleep))
    while not (left := children(server.pid)):
        await asyncio.sleep(0.01)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(Unavailable):
        await under_way
    async with asyncio.timeout(SLOW_S):
        while any(
            Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text()
            for pid in left
        ):
            await asyncio.sleep(0.01)
    assert await checks.run("ann", endless.pid)


async def test_closing_ends_what_is_under_way(server: CheckServer) -> None:
    own = CheckServer(["tests.contracts.endless"])
    checks = pool(own, check_s=SLOW_S)
    await checks.open()
    under_way = asyncio.create_task(checks.run("ann", endless.sleep))
    while not (left := children(own.pid)):
        await asyncio.sleep(0.01)
    own.kill()
    with pytest.raises(PromptrayError):
        await under_way
    async with asyncio.timeout(SLOW_S):
        while any(Path(f"/proc/{pid}").exists() for pid in left):
            await asyncio.sleep(0.01)


def test_what_a_child_sends_is_read_as_values_alone() -> None:
    """A child has read what a stranger sent: should it be taken over, it can make nobody else do
    anything.
    """
    for harmful in (print, os.getcwd, Popen, framed):
        with pytest.raises(pickle.UnpicklingError, match="is no value"):
            unframed(framed((True, harmful)))
    through_ours = b"\x80\x04\x8c\x1ccluster.service.check_server\x8c\x09os.system\x93."
    with pytest.raises(pickle.UnpicklingError, match="is no value"):
        unframed(len(through_ours).to_bytes(8, "big") + through_ours)
    assert unframed(framed((True, {"a": (1, frozenset("b"))}))) == (
        True,
        {"a": (1, frozenset("b"))},
    )
