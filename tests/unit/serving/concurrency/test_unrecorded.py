"""A place is free when its answer is on record: a ledger that is slow, or stands still, bounds what
is paid for and unrecorded.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from optimizer.types import Completion, Outcome, Request
from serving.concurrency.fair_share import FairShare, Report
from serving.concurrency.gate import AdaptiveGate, Gate
from serving.concurrency.retrying import Limiter, Retry, Transient, all_of
from serving.concurrency.shared_gate import SharedGate
from serving.ledger import Ledger, Paid
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from tests.contracts.paid import MODEL, asked

MOST = 4


class StalledLedger(LedgerCoordinator):
    """Records only while it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Ledger(folder))
        self.goes = asyncio.Event()
        self.recorded = 0

    async def record(self, paid_by_key: Mapping[bytes, Paid]) -> list[Completion]:
        await self.goes.wait()
        standing = await super().record(paid_by_key)
        self.recorded += len(standing)
        return standing


class Paying:
    """A model behind a gate. Counts its answers, and the most of them that were on no record."""

    name = MODEL

    def __init__(self, gate: Gate, ledger: StalledLedger, calls: int = 1, failing: int = 0) -> None:
        """`calls`: so many requests go out in one call; the first `failing` calls fail once, each."""
        self.limiter = Limiter(MOST, Retry(first_wait_s=0.0), gate=gate)
        self.ledger = ledger
        self.calls = calls
        self.failing = failing
        self.answered = self.most_unrecorded = 0

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        calls = [requests[at : at + self.calls] for at in range(0, len(requests), self.calls)]
        answered = await all_of(self.limiter.run(partial(self.ask, call)) for call in calls)
        return [outcome for call in answered for outcome in call]

    async def ask(self, requests: Sequence[Request]) -> list[Outcome]:
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            raise Transient("not now")
        self.answered += len(requests)
        self.most_unrecorded = max(self.most_unrecorded, self.answered - self.ledger.recorded)
        return [Completion(request.messages[0].content) for request in requests]


class LocalSlotServer:
    def __init__(self) -> None:
        self.shared = FairShare()

    async def report(self, caller: str, report: Report) -> int | None:
        await asyncio.sleep(0)
        return self.shared.report(caller, report)

    def gone(self, caller: str) -> None:
        self.shared.gone(caller)


async def settled() -> None:
    for _ in range(200):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("chunk", [1, 3])
async def test_a_stalled_ledger_allows_no_more_paid_calls_than_slots(
    tmp_path: Path, chunk: int
) -> None:
    ledger = StalledLedger(tmp_path)
    model = Paying(AdaptiveGate(MOST), ledger, calls=chunk)
    running = asyncio.create_task(
        CachedModel(model, ledger, chunk=chunk).complete([asked(str(at)) for at in range(30)])
    )
    await settled()
    assert model.answered == MOST * chunk
    ledger.goes.set()
    assert len(await asyncio.wait_for(running, 30)) == 30
    assert (model.answered, model.most_unrecorded) == (30, MOST * chunk)
    assert model.limiter.gate.in_flight == 0


async def test_trials_that_share_a_gate_pay_together_no_more_than_its_slots(
    tmp_path: Path,
) -> None:
    ledger, slot_server = StalledLedger(tmp_path), LocalSlotServer()
    models = [Paying(SharedGate(slot_server, "m", MOST, 0.02), ledger) for _ in range(3)]
    running = [
        asyncio.create_task(
            CachedModel(model, ledger, chunk=1).complete(
                [asked(f"{number} {at}") for at in range(20)]
            )
        )
        for number, model in enumerate(models)
    ]
    await settled()
    assert sum(model.answered for model in models) == MOST
    ledger.goes.set()
    await asyncio.wait_for(asyncio.gather(*running), 30)
    assert sum(model.answered for model in models) == 60


@pytest.mark.parametrize("failing", [0, 3])
async def test_a_chunk_of_more_calls_than_places_waits_for_none_of_its_own(
    tmp_path: Path, failing: int
) -> None:
    ledger = StalledLedger(tmp_path)
    ledger.goes.set()
    model = Paying(AdaptiveGate(1), ledger, calls=2, failing=failing)
    asking = CachedModel(model, ledger, chunk=10).complete([asked(str(at)) for at in range(30)])
    assert len(await asyncio.wait_for(asking, 30)) == 30
    assert model.limiter.gate.in_flight == 0


async def test_a_cancelled_batch_releases_its_slots_when_it_is_recorded(
    tmp_path: Path,
) -> None:
    ledger = StalledLedger(tmp_path)
    model = Paying(AdaptiveGate(MOST), ledger)
    running = asyncio.create_task(
        CachedModel(model, ledger, chunk=1).complete([asked(str(at)) for at in range(30)])
    )
    await settled()
    running.cancel()
    await settled()
    assert model.limiter.gate.in_flight == MOST
    ledger.goes.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (model.limiter.gate.in_flight, ledger.recorded) == (0, MOST)
