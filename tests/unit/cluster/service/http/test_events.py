"""The events of a job, as a list and as a stream."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cluster.service.backends.played_folder import PlayedFolder
from cluster.service.backends.replay import ReplayBackend
from cluster.service.core.backend import Principal
from cluster.service.schemas import Event
from tests.unit.cluster.service.http.conftest import (
    REQUEST,
    Client,
    OpenService,
    Small,
    played,
    served,
)

LISTENERS = 150


def told(text: str) -> list[dict[str, Any]]:
    """The events of a stream; each is checked to be of the one form that we write."""
    found = []
    for block in re.split(r"\n\n", text.strip()):
        if block.startswith((":", "retry:")):
            continue
        kind, data, id = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert (f"id: {event['id']}", f"event: {event['kind']}") == (id, kind)
        found.append(event)
    return found


async def test_the_list_comes_in_pages_without_gaps(service: Client) -> None:
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    job = await service.until(id, "succeeded")
    first = await service.json(f"/v1/optimizations/{id}/events", limit=3)
    rest = await service.json(f"/v1/optimizations/{id}/events", limit=1000, after=first["last_id"])
    numbers = [event["id"] for event in first["data"] + rest["data"]]
    assert numbers == list(range(1, job["last_event"] + 1))
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_a_stream_gives_every_event_once_and_ends_with_the_job(service: Client) -> None:
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    answer = await service.get(f"/v1/optimizations/{id}/events", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = told(answer.text)
    listed = (await service.json(f"/v1/optimizations/{id}/events", limit=1000))["data"]
    assert events == listed
    assert events[-1]["kind"] == "job.succeeded"


async def test_a_stream_goes_on_behind_the_last_event_id_and_then_says_that_nothing_comes(
    service: Client,
) -> None:
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "3"}
    answer = await service.http.get(f"/v1/optimizations/{id}/events", headers=headers)
    events = told(answer.text)
    assert [event["id"] for event in events] == list(range(4, 4 + len(events)))
    headers["Last-Event-ID"] = str(events[-1]["id"])
    assert (
        await service.http.get(f"/v1/optimizations/{id}/events", headers=headers)
    ).status_code == 204
    headers["Last-Event-ID"] = "x"
    assert (
        await service.http.get(f"/v1/optimizations/{id}/events", headers=headers)
    ).status_code == 400


async def test_a_silent_stream_says_that_it_lives(small: Small, tmp_path: Path) -> None:
    with served(played(small, tmp_path, every_s=0.5, heartbeat_s=0.05)) as address:
        async with aiohttp.ClientSession(address) as http:
            id = (await (await http.post("/v1/optimizations", json=REQUEST)).json())["id"]
            async with http.get(f"/v1/optimizations/{id}/events?stream=true") as stream:
                assert b": still here" in await stream.content.readuntil(b": still here")


async def test_many_listeners_hear_the_same(small: Small, tmp_path: Path) -> None:
    with served(played(small, tmp_path)) as address:
        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(60)
        async with aiohttp.ClientSession(address, connector=connector, timeout=timeout) as http:
            id = (await (await http.post("/v1/optimizations", json=REQUEST)).json())["id"]

            async def listen() -> str:
                async with http.get(f"/v1/optimizations/{id}/events?stream=true") as stream:
                    return await stream.text()

            heard = await asyncio.gather(*(listen() for _ in range(LISTENERS)))
            assert len({json.dumps(told(text)) for text in heard}) == 1
            assert told(heard[0])[-1]["kind"] == "job.succeeded"


@pytest.mark.parametrize("at", [0, 2])
async def test_a_fault_in_what_follows_a_job_ends_the_stream_and_the_next_one_goes_on(
    open_service: OpenService, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    service = open_service()
    whole, faults = ReplayBackend.follow, [RuntimeError("a fault of ours")]

    async def follow(
        backend: ReplayBackend, principal: Principal, id: str, after: int
    ) -> AsyncIterator[Event]:
        async for event in whole(backend, principal, id, after):
            if faults and event.id > at:
                raise faults.pop()
            yield event

    monkeypatch.setattr(ReplayBackend, "follow", follow)
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    first = told((await service.get(f"/v1/optimizations/{id}/events", stream=True)).text)
    assert [event["id"] for event in first] == list(range(1, at + 1))
    again = await service.http.get(
        f"/v1/optimizations/{id}/events",
        headers={"Accept": "text/event-stream", "Last-Event-ID": str(at)},
    )
    rest = told(again.text)
    assert [event["id"] for event in first + rest] == list(range(1, at + len(rest) + 1))
    assert rest[-1]["kind"] == "job.succeeded"


async def test_a_played_job_that_breaks_has_failed_and_says_so(
    open_service: OpenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service()
    monkeypatch.setattr(PlayedFolder, "write", lambda *given: 1 / 0)
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    events = told((await service.get(f"/v1/optimizations/{id}/events", stream=True)).text)
    assert events[-1]["kind"] == "job.failed"
    assert "ZeroDivisionError" in events[-1]["message"]
    assert (await service.until(id, "failed"))["finished_at"]
