"""A small experiment in one process without Ray, which kills itself by SIGKILL at its Nth step.

Everything in it is real but the endpoint and Ray: strategies, budgets, the budget and its file, the
ledger and its lock.

A step is a moment at which a death leaves something else behind than the one before: before and
after each write to storage, and when the endpoint is asked and has answered. What the endpoint saw
is in a file that outlives the process.
"""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import plan_of
from cluster.experiment.prepare import Experiment as Prepared
from cluster.experiment.prepare import check, course_of, spare_of, tests_of
from cluster.trial.budget import price_list_of
from cluster.trial.plan import TrialContext
from cluster.trial.trial import Trial
from optimizer.budget.cost import Cost
from optimizer.types import Completion, Outcome, Request
from serving.budget import BudgetStore
from serving.budget.paid_model import PaidModel
from serving.budget.recovery import recover
from serving.clients.dispatch_hook import Sending
from serving.ledger import Ledger, key_of
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.storage import Folder
from serving.storage.local import LocalFolder
from tests.contracts.paying import RecordedShare
from tests.contracts.toy import author, target

PLACES = 4
"""Calls that the endpoint has under way at once."""
SEEN = "seen.jsonl"
"""What the endpoint was asked, a line each, over all runs."""
RESULTS = "results.json"
SIZES = {"train": 4, "dev": 4, "test": 8}
STRATEGIES = [
    {"name": "iterative_ape", "label": label, "settings": {"rounds": 1, "pool": 2, "beam": 1}}
    for label in ("one", "twin")
]


def settings_of(task: str, total: dict[str, Any]) -> ExperimentSettings:
    models = {
        "target": {
            "kind": "openai",
            "model": "target",
            "base_url": "http://127.0.0.1:9/v1",
            "max_in_flight": PLACES,
        },
        "optimizer": {
            "kind": "openai",
            "model": "author",
            "base_url": "http://127.0.0.1:9/v1",
            "max_in_flight": PLACES,
        },
    }
    return ExperimentSettings.model_validate(
        {
            "tasks": [task],
            "strategies": STRATEGIES,
            "selection": "full",
            "sizes": SIZES,
            **models,
            "budget": {"target_calls": 200, "optimizer_calls": 50, "total": total},
        }
    )


@dataclass
class Machine:
    """Lives for so many steps; None: for ever."""

    out: Path
    dies_at: int | None
    steps: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def step(self) -> None:
        with self._turn:
            self.steps += 1
            if self.steps == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def saw(self, **what: Any) -> None:
        with (self.out / SEEN).open("ab", buffering=0) as seen:
            seen.write((json.dumps({**what, "step": self.steps}) + "\n").encode())


@dataclass(frozen=True)
class Watched(LocalFolder):
    """A folder whose every write is two steps."""

    machine: Machine | None = None

    def child(self, name: str) -> Folder:
        return Watched(self.path / name, self.machine)

    def absolute(self) -> Folder:
        return self

    def write(self, name: str, data: bytes) -> None:
        assert self.machine
        self.machine.step()
        super().write(name, data)
        self.machine.step()


class Counted:
    """One of the two models, at an endpoint with few places."""

    def __init__(self, machine: Machine, name: str, places: asyncio.Semaphore) -> None:
        self.name = name
        self._machine = machine
        self._answer = {"target": target, "author": author}[name]
        self._places = places

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        raise AssertionError("it is told first")

    async def complete_announced(
        self, requests: Sequence[Request], sending: Sending
    ) -> list[Outcome]:
        (request,) = requests
        async with self._places:
            await sending()
            self._machine.saw(
                key=key_of(self.name, request).hex(), purpose=request.purpose, model=self.name
            )
            self._machine.step()
            await asyncio.sleep(0.001)
            self._machine.step()
            text = self._answer(request)
        return [Completion(text, False, len(text) % 7 + 1, len(text) % 5 + 1)]


class Kept(RecordedShare):
    """With the part of Reserve."""

    async def hold(self, cost: Cost) -> None:
        await self._shared_budget.hold(self._trial, cost)


def run(out: str, task: str, total: dict[str, Any], dies_at: int | None) -> None:
    """The experiment in a folder, from where it is to its end or the machine's."""
    os.fsync = lambda _: None  # a process dies here, and no machine: what was written stays
    asyncio.run(_run(Path(out), settings_of(task, total), Machine(Path(out), dies_at)))


async def _run(out: Path, settings: ExperimentSettings, machine: Machine) -> None:
    folder = Watched(out, machine)
    trials, tasks, _ = check(settings)
    prepared = Prepared(settings, trials, tasks, folder)
    tests = tests_of(prepared)
    shared_budget = BudgetStore(
        folder,
        settings.budget.total.limits(),
        tests,
        spare=spare_of(prepared, tests),
        course=course_of(settings),
    )
    record = Ledger(folder / "ledger")
    ledger, places = LedgerCoordinator(record), asyncio.Semaphore(PLACES)

    async def trial(at: int) -> dict[str, Any]:
        plan, share = plan_of(settings, trials[at]), Kept(shared_budget, trials[at].trial)
        price_lists = {
            "target": price_list_of(plan.target, "target"),
            "optimizer": price_list_of(plan.optimizer, "optimizer"),
        }
        await recover(share, (await shared_budget.begin(plan.id)).sent, ledger, price_lists)
        models = [
            PaidModel(
                CachedModel(Counted(machine, name, places), ledger, 1), share, price_lists[role]
            )
            for name, role in (("target", "target"), ("author", "optimizer"))
        ]
        result = await Trial(
            plan, tasks[trials[at].comparison_group], *models, TrialContext(reserve=share)
        ).run()
        await shared_budget.close(plan.id, done=result.status != "failed")
        told = result.to_json()
        return {
            name: told[name]
            for name in (
                "trial",
                "status",
                "error",
                "best",
                "rounds",
                "test_marks",
                "seed_prompt_test_marks",
            )
        }

    results = await asyncio.gather(*map(trial, range(len(trials))))
    await shared_budget.stop()
    ledger.close()
    machine.saw(ended=True)
    (out / RESULTS).write_text(json.dumps(results))
