"""Experiments for half an hour on one long-lived Ray, disturbed now and then, to see what grows:
`make soak`, or

    python -m tests.e2e.chaos.soak --minutes 30

Three lanes run side by side. Two of them run one small experiment after another, with both models
at an endpoint that fails nearly a third of its calls, and with the built-in models; each has to end
as the first one of its lane did. The third is one experiment that is not to end, so that a driver,
a ledger and their trials grow old. Every half minute a trial, a ledger or a replica is killed.
Every few seconds memory, open files, threads, actors and files are sampled (measuring.py). The end
is a table, first third against last third; the exit code is 1 where a figure grows steadily beyond
what is tolerated, or an experiment did not end as it had to.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.e2e.chaos.comparison import differences
from tests.e2e.chaos.endpoint import Endpoint, endpoint
from tests.e2e.chaos.experiments import Run, at_endpoint, built_in, running, written
from tests.e2e.chaos.measuring import Sample, measured, table
from tests.e2e.chaos.victims import Nodes, nodes

SHARE = 0.3
"""Of faulty calls."""
SIDE_BY_SIDE = {"attempts": 50, "cpus": 0.2}
"""So that the trials of all lanes fit on the cluster at once."""
KILL_EVERY_S = 30.0
SAMPLE_EVERY_S = 5.0
LOOK_EVERY_S = 0.5
SHORT_MEMORY = {
    "RAY_task_events_max_num_task_in_gcs": "1000",
    "RAY_maximum_gcs_destroyed_actor_cached_count": "50",
    "RAY_maximum_gcs_dead_worker_cached_count": "50",
}
"""Ray remembers tasks, actors and workers that are no more: up to 100,000, which takes it hours to
fill. With room for few its own memory is flat within minutes, if it is what it says.
"""
VICTIMS = ("trial", "trial", "trial", "ledger", "replica")


@dataclass
class Lane:
    """One experiment after another, each the same. `complaints` are about those that went wrong."""

    name: str
    file: Path
    address: str
    ended: int = 0
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._within = ExitStack()
        self._first: Path | None = None
        self.run = self._started()

    def look(self) -> None:
        """Starts the next when one has ended."""
        if self.run.runs:
            return
        if self.run.process.returncode:
            self.complaints.append(f"{self.name} failed:\n{self.run.said}")
        elif self._first is None:
            self._first = self.run.out
        else:
            self.complaints.extend(
                f"{self.name}: {line}" for line in differences(self._first, self.run.out)
            )
        if self._first != self.run.out:
            shutil.rmtree(self.run.out)
        self.ended += 1
        self._within.close()
        self.run = self._started()

    def close(self) -> None:
        self._within.close()

    def _started(self) -> Run:
        return self._within.enter_context(
            running(self.file, self.file.parent / f"{self.name}-{self.ended}", self.address)
        )


def endless(folder: Path, served: Endpoint) -> Mapping[str, Any]:
    """More small trials than there is time for, and not fast, since a ledger holds all its answers
    in memory.
    """
    return {
        **at_endpoint(folder, served, max_in_flight=1, attempts=10, timeout_s=5.0),
        "seeds": list(range(500)),
        "concurrency": 2,
        "strategies": [{"name": "iterative_ape", "settings": {"rounds": 1, "pool": 4, "beam": 2}}],
    }


def soak(minutes: float, seed: int) -> int:
    """The exit code."""
    folder, rng = Path(tempfile.mkdtemp(prefix="soak-")), Random(seed)
    with (
        endpoint(latency_s=0.1, fault_share=SHARE, seed=seed) as served,
        endpoint(
            latency_s=0.1, fault_share=SHARE, seed=seed
        ) as slow,  # a window of its own, which is narrow
        nodes(**SHORT_MEMORY) as cluster,
    ):
        settings = {
            "faulty": at_endpoint(folder, served, attempts=10, timeout_s=2.0, max_in_flight=16),
            "built-in": built_in(gpus=1),
            "endless": endless(folder, slow),
        }
        lanes = [
            Lane(
                name,
                written({**given, "trials": SIDE_BY_SIDE}, folder / f"{name}.yaml"),
                cluster.address,
            )
            for name, given in settings.items()
        ]
        try:
            samples, killed = _watched(lanes, cluster, [served, slow], minutes * 60, rng)
        finally:
            for lane in lanes:
                lane.close()
    shutil.rmtree(folder, ignore_errors=True)
    return _told(lanes, samples, killed)


def _watched(
    lanes: list[Lane], cluster: Nodes, endpoints: list[Endpoint], length_s: float, rng: Random
) -> tuple[list[Sample], Counter[str]]:
    samples, killed = list[Sample](), Counter[str]()
    ends_at = time.monotonic() + length_s
    next_kill = next_sample = time.monotonic() + KILL_EVERY_S
    while time.monotonic() < ends_at:
        time.sleep(LOOK_EVERY_S)
        for lane in lanes:
            lane.look()
        if time.monotonic() > next_kill:
            next_kill += KILL_EVERY_S
            victim = rng.choice(VICTIMS)
            killed[victim] += cluster.kill(victim, rng)
        if time.monotonic() > next_sample:
            next_sample += SAMPLE_EVERY_S
            samples.append(_sample(lanes, cluster, sum(served.tasks for served in endpoints)))
            for served in endpoints:
                served.forget()  # its own record is not what is looked at
    return samples, killed


def _sample(lanes: list[Lane], cluster: Nodes, tasks: int) -> Sample:
    drivers = [lane.run.process.pid for lane in lanes]
    found = list[psutil.Process]()
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(cluster.pid).children(recursive=True)
    for driver in drivers:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(driver))
    return measured(found, drivers, cluster.actors(), cluster.folder, tasks)


def _told(lanes: list[Lane], samples: list[Sample], killed: Counter[str]) -> int:
    print(
        f"{len(samples)} samples; ended: { ({lane.name: lane.ended for lane in lanes}) }; killed: "
        f"{dict(killed)}"
    )
    if len(samples) < 3:
        print("That was too short for a verdict.")
        return 1
    lines, any_grows = table(samples, sum(lane.ended for lane in lanes))
    complaints = [line for lane in lanes for line in lane.complaints]
    print("\n".join([*lines, *complaints]))
    return int(any_grows or bool(complaints))


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Experiments on one long-lived Ray, disturbed now and then, to see what grows."
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    sys.exit(soak(given.minutes, given.seed))


if __name__ == "__main__":
    main()
