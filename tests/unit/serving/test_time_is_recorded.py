"""The time of an experiment goes on being recorded after a fault of the storage."""

import asyncio

from optimizer.errors import StorageError
from serving.budget.actor import BudgetActor


class SharedBudget:
    """Cannot record the time at first."""

    def __init__(self) -> None:
        self.tries = 0
        self.recording = asyncio.Event()

    async def begin(self, trial: str) -> None:
        """Nothing."""

    async def stop(self) -> None:
        """Nothing."""

    async def keep_time(self) -> None:
        self.tries += 1
        if self.tries == 1:
            raise StorageError("The disk is full.")
        self.recording.set()
        await asyncio.Event().wait()


async def test_time_is_recorded_again_after_a_fault_of_the_storage() -> None:
    actor, shared_budget = BudgetActor.__new__(BudgetActor), SharedBudget()
    actor._shared_budget, actor._keeping = shared_budget, None  # type: ignore[assignment]
    await actor.begin("t")
    async with asyncio.timeout(10):
        await shared_budget.recording.wait()
    await actor.stop()
    assert shared_budget.tries == 2
