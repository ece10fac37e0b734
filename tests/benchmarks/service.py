"""Fifty jobs of three owners on one fleet: do all finish, are places used while there is work, does
each owner get its part?

    python -m tests.benchmarks.service [--jobs 50] [--running 8] [--seconds 1.0]

The target is a scripted model whose calls take `--seconds`, on one replica that takes PLACES of
them at once; the optimizer is the built-in one. All jobs are filed in a row, the owners' mixed:
most are the first owner's. A thousand listeners follow them on one slot server.

Printed are the share of places in use while all were wanted, as the controller has seen it about
once a second; and for each owner how long it took from the filing until its last job was done,
beside what that takes where the places are shared max-min fairly.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import yaml

from cluster.ray_runtime.session import ray_session
from cluster.service.backends.ray import RayBackend
from cluster.service.core.backend import Principal
from cluster.service.core.settings import ServiceSettings
from cluster.service.schemas import Event, OptimizationRequest
from serving.concurrency.fair_share import Use
from serving.concurrency.gate_actor import deployment_key, endpoint_actor
from serving.hosting.deployment import deployment_name

PLACES = 8
PARTS = {"ann": 0.6, "bob": 0.3, "cem": 0.1}
LISTENERS = 1000
SCRIPT = {"rules": [{"replies": ["Answer: Yes", "Answer: No"]}]}
Job = tuple[str, str]
"""Owner and id."""


def request(seed: int) -> OptimizationRequest:
    """About 30 calls of 16 prompts.

    Each has data of its own, so that no job has another's answers.
    """
    return OptimizationRequest.model_validate(
        {
            "name": f"job-{seed}",
            "tasks": [{"generated": "navigate"}],
            "target": "scripted:slow",
            "selection": "full",
            "strategies": [
                {"name": "iterative_ape", "settings": {"rounds": 3, "pool": 5, "beam": 1}}
            ],
            "seeds": [seed],
            "sizes": {"train": 8, "dev": 32, "test": 16},
            "budget": {"target_calls": 2000, "optimizer_calls": 200},
        }
    )


def service(folder: Path, running: int, seconds: float) -> ServiceSettings:
    script = folder / "slow.yaml"
    script.write_text(yaml.safe_dump(SCRIPT))
    replicas = {"min": 1, "max": 1, "target_ongoing_chunks": PLACES / 1.5}
    target = {"kind": "scripted", "script": str(script), "seconds": seconds, "replicas": replicas}
    return ServiceSettings(
        models=[target, "builtin:optimizer"], storage=str(folder / "service"), running=running
    )


async def listen(slot_server: RayBackend, job: Job) -> list[Event]:
    return [event async for event in slot_server.follow(Principal(job[0]), job[1], 0)]


async def note_uses(settings: ServiceSettings, uses: list[Use]) -> None:
    """How the target's places are used, about once a second."""
    actor = endpoint_actor(deployment_key(deployment_name(settings.parsed[0])))
    while True:
        uses.append(await actor.use.remote())
        await asyncio.sleep(1)


async def run(
    slot_server: RayBackend, settings: ServiceSettings, count: int, uses: list[Use]
) -> tuple[list[Job], list[list[Event]], dict[str, float]]:
    """The jobs, what the listeners have heard, and the seconds until each owner's last job was
    done.
    """
    noting = asyncio.create_task(note_uses(settings, uses))
    owners = [owner for owner, part in PARTS.items() for _ in range(round(part * count))]
    Random(0).shuffle(owners)
    began = time.monotonic()
    jobs = [
        (owner, (await slot_server.create(Principal(owner), request(number))).id)
        for number, owner in enumerate(owners)
    ]
    print(f"{len(jobs)} jobs filed in {time.monotonic() - began:.1f} s", flush=True)
    began = time.monotonic()
    done_s: dict[str, float] = {}

    async def watch(number: int) -> list[Event]:
        job = jobs[number % len(jobs)]
        heard = await listen(slot_server, job)
        if number < len(jobs):
            done_s[job[0]] = time.monotonic() - began
            print(f"{time.monotonic() - began:6.1f} s  {job[0]}: {heard[-1].kind}", flush=True)
        return heard

    heard = await asyncio.gather(*(watch(number) for number in range(LISTENERS)))
    noting.cancel()
    return jobs, heard, done_s


def fair_s(work: dict[str, int], total_s: float) -> dict[str, float]:
    """When each owner's work would be done if it were shared max-min fairly, and all of it took
    `total_s`.
    """
    speed, done, left, now = sum(work.values()) / total_s, {}, dict(work), 0.0
    while left:
        least = min(left.values())
        now += least * len(left) / speed
        done |= {owner: now for owner, amount in left.items() if amount == least}
        left = {owner: amount - least for owner, amount in left.items() if amount > least}
    return done


def use_of(uses: list[Use]) -> tuple[float, int]:
    """Share of the target's places in use while all of them were wanted, and how many looks that
    was.
    """
    busy = [use for use in uses if use.demand >= PLACES]
    return sum(min(1.0, use.in_flight / PLACES) for use in busy) / max(1, len(busy)), len(busy)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--running", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ray_session():
        settings = service(Path(folder), given.running, given.seconds)
        began, uses = time.monotonic(), list[Use]()
        jobs, heard, done_s = asyncio.run(run(RayBackend(settings), settings, given.jobs, uses))
        took_s = time.monotonic() - began
        share, busy = use_of(uses)
        ends = Counter(events[-1].kind for events in heard[: len(jobs)])
        complete = sum(
            [event.id for event in events] == list(range(1, len(events) + 1)) for events in heard
        )
        print(f"\n{len(jobs)} jobs in {took_s:.0f} s: {dict(ends)}")
        print(f"places in use while all were wanted: {share:.2f} of {PLACES} ({busy} looks)")
        work = Counter(owner for owner, _ in jobs)
        for owner, ideal_s in fair_s(dict(work), max(done_s.values())).items():
            factor = done_s[owner] / ideal_s
            print(
                f"{owner}: {work[owner]} jobs done after {done_s[owner]:.0f} s; fair {ideal_s:.0f} "
                f"s: {factor:.2f} of it"
            )
        print(
            f"{complete} of {len(heard)} listeners have heard every event once and in order, "
            f"{sum(map(len, heard))} in all"
        )


if __name__ == "__main__":
    main()
