"""Limits: of a body's size, of questions a minute, of questions at once.

The first two hold for any sequence of events.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from math import ceil

import aiohttp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.gateway.errors import Refused
from serving.gateway.limits import Rate, SlotLimit, TokenBucket, bounded
from tests.contracts.scripted_stream import ScriptedStream, words
from tests.unit.serving.gateway.conftest import KEY, Gateway, OpenGateway


class Clock:
    """A clock that a test moves, in seconds."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


ANY_TIME = settings(deadline=None)
"""A busy machine is no failure."""
gaps_s = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=60)


@ANY_TIME
@given(gaps_s, st.integers(1, 20), st.floats(0.01, 10))
def test_no_stretch_of_time_admits_more_than_the_bucket_and_its_refill(
    gaps: list[float], size: int, per_s: float
) -> None:
    clock = Clock()
    bucket = TokenBucket(size, per_s, clock)
    admitted_s = []
    for gap_s in gaps:
        clock.now_s += gap_s
        if not bucket.take():
            admitted_s.append(clock.now_s)
    for first in range(len(admitted_s)):
        for last in range(first, len(admitted_s)):
            assert last - first + 1 <= size + per_s * (admitted_s[last] - admitted_s[first]) + 1e-5


@ANY_TIME
@example([0.0, 0.0], 1, 1 / 49)  # 49 * (1 / 49) is less than 1
@given(gaps_s, st.integers(1, 20), st.floats(0.01, 10))
def test_who_waits_as_long_as_they_are_told_is_admitted(
    gaps: list[float], size: int, per_s: float
) -> None:
    clock = Clock()
    bucket = TokenBucket(size, per_s, clock)
    for gap_s in gaps:
        clock.now_s += gap_s
        if wait_s := bucket.take():
            assert 0 < wait_s <= 1 / per_s + 1e-5
            clock.now_s += ceil(wait_s)  # as Retry-After says it
            assert bucket.take() == 0.0


@ANY_TIME
@given(st.integers(1, 10_000), st.integers(1, 200))
def test_who_keeps_to_the_rate_is_never_refused(per_minute: int, questions: int) -> None:
    clock = Clock()
    rate = Rate(per_minute, clock)
    for _ in range(questions):
        rate.take(0)
        clock.now_s += 60 / per_minute * (1 + 1e-9)


def test_owners_do_not_pay_for_each_other() -> None:
    rate = Rate(2, Clock())
    for owner in (0, 1, 0, 1):
        rate.take(owner)
    with pytest.raises(Refused, match="429"):
        rate.take(0)


async def read(announced: str | None, chunks: list[bytes], most: int) -> tuple[bytes | None, int]:
    """Return what comes of a body, and how many of its chunks were read."""
    taken = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal taken
        for chunk in chunks:
            taken += 1
            yield chunk

    try:
        return await bounded(announced, stream(), most), taken
    except Refused as no:
        return None, taken if no.status == 413 else -1


@ANY_TIME
@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(0, 200), st.booleans())
def test_a_body_is_read_whole_or_refused_by_its_size_alone(
    chunks: list[bytes], most: int, announces: bool
) -> None:
    whole = b"".join(chunks)
    body, taken = asyncio.run(read(str(len(whole)) if announces else None, chunks, most))
    assert body == (whole if len(whole) <= most else None)
    if len(whole) > most:
        assert (
            sum(map(len, chunks[: max(taken - 1, 0)])) <= most
        )  # it stops at the chunk that passes the limit
        assert not (announces and taken)


@pytest.mark.parametrize("announced", ["9" * 5000, "1e3", "-5", "²", ""])
async def test_an_odd_length_is_not_believed(announced: str) -> None:
    body, _ = await read(announced, [b"x" * 11], 10)
    assert body is None


@pytest.mark.parametrize("spare", [0, 1])
async def test_a_body_of_the_largest_size_comes_in_and_one_more_byte_does_not(
    open_gateway: OpenGateway, spare: int
) -> None:
    gateway = await open_gateway(max_body_bytes=5000)
    body = b'{"model": "echo", "prompt": "hello"}'
    padded = body + b" " * (5000 - len(body) + spare)

    async def chunked() -> AsyncIterator[bytes]:
        for at in range(0, len(padded), 700):
            yield padded[at : at + 700]

    for data in (padded, chunked()):
        reply = await gateway.ask("/v1/completions", data=data)
        assert reply.status == (413 if spare else 200)
        if spare:
            assert (reply.code, "5000 bytes" in reply.message) == ("request_too_large", True)


async def test_nobody_without_a_key_has_a_body_read(open_gateway: OpenGateway) -> None:
    gateway = await open_gateway(None, KEY, max_body_bytes=5000)
    assert (await gateway.ask("/v1/completions", data=b"x" * 9000)).status == 401


async def test_a_body_that_does_not_come_is_not_waited_for(open_gateway: OpenGateway) -> None:
    gateway = await open_gateway(body_timeout_s=0.2)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)
        yield b"}"

    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{gateway.address}/v1/completions",
            data=slow(),
            headers={"Content-Type": "application/json"},
        ) as reply,
    ):
        assert (reply.status, (await reply.json())["error"]["code"]) == (408, "timeout")


async def test_requests_above_the_rate_get_a_retry_after(
    open_gateway: OpenGateway,
) -> None:
    gateway = await open_gateway(None, KEY, "other", requests_per_minute=1)
    assert (await gateway.chat(key=KEY)).status == 200
    reply = await gateway.chat(key=KEY)
    assert (reply.status, reply.code, reply.json["error"]["type"]) == (
        429,
        "rate_limit_exceeded",
        "rate_limit_error",
    )
    assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert (await gateway.chat(key="other")).status == 200
    assert (
        await gateway.ask("/v1/models", key=KEY)
    ).status == 200  # costs nothing, so it is not counted


async def test_more_questions_at_once_than_allowed_come_again(open_gateway: OpenGateway) -> None:
    model = ScriptedStream(words)
    gateway = await open_gateway(model, max_in_flight=2)
    first = [asyncio.create_task(gateway.chat("wait")) for _ in range(2)]
    while len(model.asked) < 2:
        await asyncio.sleep(0.01)
    reply = await gateway.chat("one")
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (
        429,
        "too_many_in_flight",
        "1",
    )
    assert (await gateway.ask("/healthz")).status == 200
    for principal in first:
        principal.cancel()
    await asyncio.gather(*first, return_exceptions=True)
    await _free(gateway)


async def test_one_owner_does_not_take_the_places_of_another(open_gateway: OpenGateway) -> None:
    model = ScriptedStream(words)
    gateway = await open_gateway(model, KEY, "other", max_in_flight=4)
    first = [asyncio.create_task(gateway.chat("wait", key=KEY)) for _ in range(2)]
    while len(model.asked) < 2:
        await asyncio.sleep(0.01)
    reply = await gateway.chat("one", key=KEY)
    assert (reply.status, reply.code) == (429, "too_many_in_flight")
    assert "2 of your requests" in reply.message
    assert (await gateway.chat("one", key="other")).status == 200
    for principal in first:
        principal.cancel()
    await asyncio.gather(*first, return_exceptions=True)


@ANY_TIME
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_places_are_never_exceeded_and_never_lost(
    asked: list[tuple[str, bool]], most: int, own: int
) -> None:
    places, held = SlotLimit(most, own), list[tuple[str, ExitStack]]()
    for owner, comes in asked:
        if not comes:
            if held:
                held.pop(0)[1].close()
            continue
        stack, so_many = ExitStack(), sum(one == owner for one, _ in held)
        fits = so_many < own and len(held) < most
        try:
            stack.enter_context(places.one(owner))
        except Refused:
            assert not fits
        else:
            assert fits
            held.append((owner, stack))
    assert places.taken == len(held)
    for _, stack in held:
        stack.close()
    assert places.taken == 0


async def test_a_body_that_drips_holds_no_place(open_gateway: OpenGateway) -> None:
    gateway = await open_gateway(max_in_flight=1, body_timeout_s=30.0)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async with aiohttp.ClientSession() as session:
        dripping = [
            asyncio.create_task(session.post(f"{gateway.address}/v1/completions", data=slow()))
            for _ in range(3)
        ]
        await asyncio.sleep(0.1)
        assert (await gateway.chat("one")).status == 200
        for one in dripping:
            one.cancel()
        await asyncio.gather(*dripping, return_exceptions=True)


async def _free(gateway: Gateway) -> None:
    while (await gateway.chat("one")).status == 429:
        await asyncio.sleep(0.01)
