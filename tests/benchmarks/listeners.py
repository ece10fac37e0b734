"""A thousand who listen to one job over HTTP, on a service as `promptray up` starts it.

    promptray up --port 8200
    python -m tests.benchmarks.listeners --service http://127.0.0.1:8200 [--listeners 1000]

Starts a small job, opens all streams, and reads them to their end. Prints how many heard every
event once and in order, how long an event took from the first listener that heard it to the last,
and how fast the service answered others meanwhile. A script, no test.
"""

import argparse
import asyncio
import time
from collections import defaultdict
from statistics import median

import aiohttp
from rich.console import Console
from rich.table import Table

JOB = {
    "name": "listened",
    "tasks": [{"generated": "navigate"}],
    "strategies": ["apo", "abo"],
    "sizes": {"train": 12, "dev": 12, "test": 12},
    "budget": {"target_calls": 400, "optimizer_calls": 100},
}
ASK_EVERY_S = 1.0
Heard = list[tuple[int, float]]


async def listen(http: aiohttp.ClientSession, job: str) -> Heard:
    """The ids of the events, and when each came."""
    heard: Heard = []
    async with http.get(f"/v1/optimizations/{job}/events", params={"stream": "true"}) as stream:
        stream.raise_for_status()
        async for line in stream.content:
            if line.startswith(b"id: "):
                heard.append((int(line[4:]), time.monotonic()))
    return heard


async def ask(http: aiohttp.ClientSession, job: str, took_s: list[float]) -> None:
    """What another caller feels, until cancelled."""
    while True:
        began = time.monotonic()
        async with http.get(f"/v1/optimizations/{job}") as answer:
            await answer.read()
        took_s.append(time.monotonic() - began)
        await asyncio.sleep(ASK_EVERY_S)


async def measured(service: str, listeners: int) -> tuple[list[Heard | BaseException], list[float]]:
    limit, took_s = aiohttp.ClientTimeout(total=None), list[float]()
    async with aiohttp.ClientSession(
        service, connector=aiohttp.TCPConnector(limit=0), timeout=limit
    ) as http:
        async with http.post("/v1/optimizations", json=JOB) as created:
            job = (await created.json())["id"]
        other = asyncio.create_task(ask(http, job, took_s))
        heard = await asyncio.gather(
            *(listen(http, job) for _ in range(listeners)), return_exceptions=True
        )
        other.cancel()
    return heard, took_s


def main() -> None:
    parser = argparse.ArgumentParser(description="A thousand who listen to one job over HTTP.")
    parser.add_argument("--service", default="http://127.0.0.1:8000")
    parser.add_argument("--listeners", type=int, default=1000)
    given = parser.parse_args()
    found, took_s = asyncio.run(measured(given.service, given.listeners))
    heard = [one for one in found if isinstance(one, list)]
    whole = [one for one in heard if [id for id, _ in one] == list(range(1, len(one) + 1))]
    moments = defaultdict[int, list[float]](list)
    for id, moment in (event for one in whole for event in one):
        moments[id].append(moment)
    late = [
        max(seen) - min(seen) for id, seen in moments.items() if id > 2
    ]  # the first are from before they all listened
    table = Table("figure", "")
    table.add_row("listeners", str(given.listeners))
    table.add_row("heard every event once, in order", str(len(whole)))
    table.add_row(
        "broken off",
        f"{len(found) - len(heard)} "
        f"{next((repr(one) for one in found if not isinstance(one, list)), '')}",
    )
    table.add_row("events", str(len(moments)))
    table.add_row(
        "first to last listener, s, median and worst", f"{median(late):.2f} {max(late):.2f}"
    )
    table.add_row(
        "another caller's answer, s, median and worst", f"{median(took_s):.2f} {max(took_s):.2f}"
    )
    Console().print(table)


if __name__ == "__main__":
    main()
