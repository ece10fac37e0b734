"""Kills in the course of a run, at moments that a seed decides. Knows no kind of victim.

A moment is drawn uniformly from the run's life, and the life is measured in answers: one half is
when half of all answers are in the ledger. So the moments mean the same on a slow machine, and a
run that is held up by its kills is still hit in its last part.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.e2e.chaos.accounts import TrialBudget, answered_keys
from tests.e2e.chaos.comparison import differences
from tests.e2e.chaos.endpoint import Endpoint
from tests.e2e.chaos.experiments import LIMIT_S, Run, running

SEED = int(os.environ.get("CHAOS_SEED", "5"))
TIMES = int(os.environ.get("CHAOS_TIMES", "1"))
"""So many times the kills that are planned."""
LOOK_EVERY_S = 0.15
"""The whole ledger is read at each look."""
LATEST_S = 0.4
"""A kill comes up to so long after its moment: answers come in bunches."""
RUNS = 4
"""In so many, one after the other, the kills that are planned have to find victims."""
Kill = Callable[[str, Random], bool]


@dataclass
class OutcomeCounts:
    """Of the whole test session."""

    kills_by_kind: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    repeated: int = 0
    again: int = 0

    def add(self, accounts: TrialBudget, calls: int) -> None:
        self.kills_by_kind.update(death.kind for death in accounts.deaths)
        self.calls += calls
        self.repeated += len(accounts.repeated)
        self.again += accounts.again

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(self.kills_by_kind.items()))
        return (
            f"chaos, seed {SEED}: {self.kills_by_kind.total()} kill points ({kinds}); {self.calls} "
            "calls at the endpoint, "
            f"{self.repeated} repeated; {self.again} more were answered twice, lost at first with "
            "the process that waited for them"
        )


@dataclass(frozen=True)
class Undisturbed:
    """A run without kills."""

    out: Path
    answers: int


def kill_through(
    file: Path,
    undisturbed: Undisturbed,
    kinds: Sequence[str],
    kill: Kill,
    address: str,
    served: Endpoint | None,
    outcome_counts: OutcomeCounts,
    rng: Random,
) -> None:
    """Runs the experiment with a kill of each of `kinds`, until all have found a victim; every run
    has to end as the undisturbed
    one did, without repeating a call."""
    left = rng.sample(kinds, len(kinds))
    for number in range(RUNS):
        if not left:
            return
        out = file.parent / f"{file.stem}-{number}"
        accounts = TrialBudget(out, served)
        if served:
            served.forget()
        with running(file, out, address) as run:
            left = _disturb(run, left, undisturbed.answers, kill, accounts, rng)
            run.end()
        settle(out, undisturbed, accounts, served, outcome_counts)
    assert not left, f"seed {SEED}: no victim was found for {left}"


def settle(
    out: Path,
    undisturbed: Undisturbed,
    accounts: TrialBudget,
    served: Endpoint | None,
    outcome_counts: OutcomeCounts,
) -> None:
    """The verdict on a run that has ended."""
    outcome_counts.add(accounts, len(served.calls) if served else 0)
    deaths = [death.kind for death in accounts.deaths]
    assert differences(undisturbed.out, out) == [], f"seed {SEED}, killed: {deaths}"
    assert accounts.repeated == [], f"seed {SEED}, killed: {deaths}"


def _disturb(
    run: Run, kinds: list[str], answers: int, kill: Kill, accounts: TrialBudget, rng: Random
) -> list[str]:
    """Kills while it runs. Returns the kinds that are left over."""
    moments = sorted(rng.random() * answers for _ in kinds)
    ends_at = time.monotonic() + LIMIT_S
    while kinds and run.runs and time.monotonic() < ends_at:
        if len(answered_keys(run.out)) >= moments[0]:
            time.sleep(rng.random() * LATEST_S)
            at = time.monotonic()
            if kill(kinds[0], rng):
                accounts.note(kinds[0], at)
                kinds, moments = kinds[1:], moments[1:]
        time.sleep(LOOK_EVERY_S)
    return kinds
