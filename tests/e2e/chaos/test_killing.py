"""Proof by killing things: an experiment whose trials, replicas, ledger, nodes or driver are
killed, again and again, ends as one that nobody touched, and pays for nothing twice.

How it is done. The small experiments of experiments.py run through the real command, first
undisturbed and then with kills at moments that a seed decides (killing.py; the variables CHAOS_SEED
and CHAOS_TIMES ask for another seed, and for so many times the kills). Trials, replicas, ledgers
and whole nodes are killed on one long-lived cluster (victims.py); drivers take a Ray of their own
with them. Afterwards the results folders are compared (comparison.py): the tables in all but what a
run took, and the best prompts. Where models are at the counting endpoint (endpoint.py), every call
that it saw is held against what stood in the ledger at each death (accounts.py). The same endpoint
fails calls by seed and by share (faults.py): with nearly a third of them faulty, an experiment ends
the same too. A last line says how much was killed, and how much repeated. `make soak` (soak.py)
does all of this for half an hour, and looks for what grows.
"""

import time
from functools import partial
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.e2e.chaos.accounts import TrialBudget, answered_keys
from tests.e2e.chaos.endpoint import Endpoint
from tests.e2e.chaos.experiments import Run, running
from tests.e2e.chaos.killing import (
    LATEST_S,
    LOOK_EVERY_S,
    SEED,
    TIMES,
    OutcomeCounts,
    Undisturbed,
    kill_through,
    settle,
)
from tests.e2e.chaos.test_kill_points import POINTS
from tests.e2e.chaos.victims import AGENTS_S, DEATH_S, Nodes, all_gone, is_agent, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
ON_NODES = (["trial", "replica"] * 2 + ["ledger", "node with trials", "node with replicas"]) * TIMES
DRIVERS = ["driver"] * 2 * TIMES
STARTING = 0.3
"""The part of a driver's life that passes before the first answer."""
STARTING_S = 8.0
"""What that part takes at most."""


def test_at_least_a_hundred_kills_are_planned_over_all_kinds_of_victim() -> None:
    """With those of test_kill_points.py, half of which are in final tests under `budget.total`."""
    planned = ON_NODES + DRIVERS
    assert len(planned) + POINTS >= 100
    assert set(planned) == {
        "trial",
        "ledger",
        "replica",
        "node with trials",
        "node with replicas",
        "driver",
    }


def test_killed_trials_ledgers_and_replicas_and_lost_nodes_change_nothing(
    mixed_file: Path,
    undisturbed_mixed: Undisturbed,
    cluster: Nodes,
    served: Endpoint,
    outcome_counts: OutcomeCounts,
) -> None:
    kill_through(
        mixed_file,
        undisturbed_mixed,
        ON_NODES,
        cluster.kill,
        cluster.address,
        served,
        outcome_counts,
        Random(f"nodes {SEED}"),
    )


def test_killed_drivers_leave_nothing_behind_and_are_continued(
    endpoint_file: Path,
    undisturbed_endpoint: Undisturbed,
    served: Endpoint,
    outcome_counts: OutcomeCounts,
) -> None:
    rng, out = Random(f"driver {SEED}"), endpoint_file.parent / "drivers"
    accounts = TrialBudget(out, served)
    served.forget()
    families = list[psutil.Process]()
    for moment in _over_life(len(DRIVERS), rng):
        # The same command again, or the folder alone: both go on.
        with running(
            rng.choice([endpoint_file, None])
            if (out / "settings.yaml").exists()
            else endpoint_file,
            out,
        ) as run:
            _wait_for(run, moment, undisturbed_endpoint.answers, rng)
            family, at = run.family(), time.monotonic()
            families.extend(family)
            workers = [process for process in family if not is_agent(process)]
            assert run.runs, f"seed {SEED}: it ended before it was killed:\n{run.said}"
            run.kill()
            wait_until(partial(all_gone, workers), DEATH_S)
            accounts.note("driver", at)
    with running(None, out) as run:
        run.end()
    wait_until(partial(all_gone, families), AGENTS_S)
    settle(out, undisturbed_endpoint, accounts, served, outcome_counts)
    assert accounts.strangers() == frozenset()


def _over_life(number: int, rng: Random) -> list[float]:
    """Moments from 0 to 1, in order: the first half of them before the first answer, the others
    behind it.
    """
    starting = number // 2
    drawn = [
        rng.uniform(0, STARTING) if at < starting else rng.uniform(STARTING, 1)
        for at in range(number)
    ]
    return sorted(drawn)


def _wait_for(run: Run, moment: float, answers: int, rng: Random) -> None:
    """Until a moment from 0 to 1 of the whole life: first seconds, then answers in the ledger."""
    if moment < STARTING:
        time.sleep(moment / STARTING * STARTING_S)
        return
    while run.runs and len(answered_keys(run.out)) < (moment - STARTING) / (1 - STARTING) * answers:
        time.sleep(LOOK_EVERY_S)
    time.sleep(rng.random() * LATEST_S)
