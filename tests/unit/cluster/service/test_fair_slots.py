"""Slots of several owners: never more than there are, none lost, and each owner's turn comes."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.service.core.errors import Busy, Unavailable
from cluster.service.core.fair_slots import FairSlots
from cluster.service.stores.threads import ReadingThreads
from tests.contracts.examples import examples


@settings(deadline=None, max_examples=examples(60))
@given(
    asked=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["work", "leave", "fail"])), max_size=40
    ),
    most=st.integers(1, 4),
    own=st.integers(1, 4),
    waiting=st.integers(0, 6),
)
def test_slots_are_never_exceeded_and_never_lost(
    asked: list[tuple[str, str]], most: int, own: int, waiting: int
) -> None:
    async def run() -> None:
        slots, held = FairSlots(most, own, waiting, "checks", 1.0), {"a": 0, "b": 0, "c": 0}

        async def one(owner: str, way: str) -> None:
            async with slots.one(owner):
                held[owner] += 1
                assert held[owner] <= own
                assert sum(held.values()) <= most
                try:
                    for _ in range(3):
                        await asyncio.sleep(0)
                    if way == "fail":
                        raise LookupError
                finally:
                    held[owner] -= 1

        tasks = []
        for owner, way in asked:
            tasks.append(asyncio.create_task(one(owner, way)))
            await asyncio.sleep(0)
            if way == "leave" and len(tasks) % 2:
                tasks[-1].cancel()
            if way == "leave" and len(tasks) > 2:
                tasks[-2].cancel()
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} <= {
            type(None),
            LookupError,
            asyncio.CancelledError,
            Busy,
        }
        assert slots.held == 0
        await one("a", "work")

    asyncio.run(run())


async def test_the_next_owner_does_not_wait_behind_the_line_of_another() -> None:
    slots, served = FairSlots(2, 2, 100, "checks", 1.0), []

    async def one(owner: str) -> None:
        async with slots.one(owner):
            served.append(owner)
            await asyncio.sleep(0.001)

    await asyncio.gather(
        *(one("ann") for _ in range(30)), *(one(owner) for owner in ("bob", "eve", "bob"))
    )
    assert set(served[2:6]) >= {"bob", "eve"}


async def test_whoever_has_too_many_waiting_is_told_to_come_again() -> None:
    slots = FairSlots(9, 1, 2, "checks", 7.0)
    await slots.take("ann")
    waiting = [asyncio.create_task(slots.take("ann")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="Too many of your checks") as caught:
        await slots.take("ann")
    assert caught.value.retry_after_s == 7.0
    await slots.take("bob")
    for _ in waiting:
        slots.free("ann")
    await asyncio.gather(*waiting)


async def test_a_thread_that_hangs_counts_against_its_owner_alone() -> None:
    import threading

    threads, go = (
        ReadingThreads(most=3, most_per_owner=2, most_waiting=1, deadline_s=0.2),
        threading.Event(),
    )
    try:
        hanging = [asyncio.create_task(threads.run("ann", go.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await threads.run("ann", int)
        assert await threads.run("bob", int) == 0
        ends = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(end) for end in ends} == {Unavailable}
        with pytest.raises(Unavailable):  # two threads still hang, though nobody waits for them
            await threads.run("ann", int)
        assert await threads.run("bob", int) == 0
        await threads.ping()
    finally:
        go.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await threads.run("ann", int) == 0
                return
            except Unavailable:
                continue
