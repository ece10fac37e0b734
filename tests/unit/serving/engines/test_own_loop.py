"""An event loop in another thread: results, errors, items and cancellation cross over."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from serving.engines.own_loop import OwnLoop


@pytest.fixture
def loop() -> Iterator[OwnLoop]:
    opened = OwnLoop("test")
    yield opened
    opened.close()


async def where() -> str:
    return threading.current_thread().name


async def broken() -> str:
    raise LookupError("nothing there")


async def test_work_runs_in_its_thread(loop: OwnLoop) -> None:
    assert await loop.ask(where()) == "test"
    assert loop.run(where()) == "test"


async def test_errors_come_back(loop: OwnLoop) -> None:
    with pytest.raises(LookupError, match="nothing there"):
        await loop.ask(broken())
    with pytest.raises(LookupError, match="nothing there"):
        loop.run(broken())


async def test_items_come_in_order_and_then_the_error(loop: OwnLoop) -> None:
    async def numbers() -> AsyncGenerator[int, None]:
        for number in range(100):
            yield number
        raise LookupError("no more")

    items = loop.items(numbers)
    assert [await anext(items) for _ in range(100)] == list(range(100))
    with pytest.raises(LookupError, match="no more"):
        await anext(items)


async def test_items_that_cannot_begin_or_end_leave_nobody_waiting(loop: OwnLoop) -> None:
    def never() -> AsyncGenerator[int, None]:
        raise LookupError("no beginning")

    with pytest.raises(LookupError, match="no beginning"):
        await asyncio.wait_for(anext(aiter(loop.items(never))), 5)


async def test_a_caller_who_is_cancelled_cancels_the_work(loop: OwnLoop) -> None:
    began, ended = threading.Event(), threading.Event()

    async def endless() -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    asking = asyncio.create_task(loop.ask(endless()))
    assert await asyncio.to_thread(began.wait, 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asyncio.to_thread(ended.wait, 10)


async def test_a_reader_who_leaves_closes_the_generator(loop: OwnLoop) -> None:
    ended = threading.Event()

    async def endless() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            ended.set()

    items = loop.items(endless)
    assert await anext(items) == 1
    await items.aclose()  # type: ignore[attr-defined]
    assert await asyncio.to_thread(ended.wait, 10)


def test_it_may_be_closed_twice_and_ends_what_runs() -> None:
    loop = OwnLoop("twice")
    forgotten = asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), loop._loop)
    loop.close()
    loop.close()
    assert forgotten.cancelled()


async def test_work_that_does_not_end_holds_up_no_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.engines.own_loop.ENDS_WITHIN_S", 0.1)
    opened, began, let_go = OwnLoop("test"), threading.Event(), threading.Event()

    async def deaf() -> None:
        began.set()
        while not let_go.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                continue

    asking = asyncio.ensure_future(opened.ask(deaf()))
    await asyncio.to_thread(began.wait, 5)
    await asyncio.wait_for(asyncio.to_thread(opened.close), 5)
    let_go.set()
    asking.cancel()
